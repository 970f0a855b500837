"""The commands in the documentation, as the tests parse and run them.

A block of commands is fenced as `console`. If any of its lines begins with `$ `, only these lines
are commands and the others are output. A block under `<!-- shown only: REASON -->` is not run,
for that reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

_BLOCK = re.compile(
    r"(?:^ *<!-- shown only: (?P<reason>[^\n]+) -->\n+)?^ *```console\n(?P<lines>.*?)^ *```",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A block of commands, and the reason why it is not run; empty if it is run."""

    commands: tuple[str, ...]
    shown_only: str


def pages() -> list[Path]:
    """Return all pages: those at the top level and those in docs."""
    return [*sorted(CHECKOUT.glob("*.md")), *sorted((CHECKOUT / "docs").glob("*.md"))]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub creates them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def blocks(text: str) -> list[Block]:
    """Return the blocks of commands of a page, in order."""
    return [
        Block(tuple(_commands(match["lines"])), match["reason"] or "")
        for match in _BLOCK.finditer(text)
    ]


def _commands(lines: str) -> list[str]:
    joined = [line.strip() for line in lines.replace("\\\n", " ").splitlines()]
    if any(line.startswith("$ ") for line in joined):
        joined = [line.removeprefix("$ ") for line in joined if line.startswith("$ ")]
    # A comment follows its command after two spaces.
    without_remarks = (re.split(r"(?:^|\s{2,})#", line)[0].strip() for line in joined)
    return [line for line in without_remarks if line]
