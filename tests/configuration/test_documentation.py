"""Everything that the documentation refers to exists.

tests/stack/test_documented_commands.py runs its commands.
"""

from __future__ import annotations

import re

import pytest
from command_lines import commands, fault
from documentation import CHECKOUT, anchors, blocks, pages

PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)


@PAGES
def test_everything_a_page_links_to_exists(page):
    for target, _, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(#([^)\s]+))?\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked.read_text()), f"{target}#{anchor}"


@PAGES
def test_every_command_in_a_page_can_be_typed(page):
    named = commands(page.read_text(), ("./dev", "manage.py"))
    faults = {" ".join(words): fault(words) for words in named}
    # A page may name a command without its arguments.
    assert not {
        command: why for command, why in faults.items() if why and "are required: " not in why
    }


def test_blocks_are_parsed():
    page = (
        "```console\n./dev up   # starts\n\n./dev psql -c '# not a remark'\n```\n"
        "```console\n$ ./dev test \\\n    -x\n3 passed\n```\n"
        "<!-- shown only: needs an account -->\n```console\naws login\n```\n"
    )
    first, second, third = blocks(page)
    assert first.commands == ("./dev up", "./dev psql -c '# not a remark'")
    assert second.commands == ("./dev test      -x",)
    assert (third.commands, third.shown_only) == (("aws login",), "needs an account")


def test_messages_in_troubleshooting_are_those_that_are_printed():
    page = (CHECKOUT / "docs" / "troubleshooting.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \|", page, re.M)
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    sources = [
        path.read_text()
        for folder in ("backend", "devtools", "init-scripts")
        for path in (CHECKOUT / folder).rglob("*.py")
        if "tests" not in path.relative_to(CHECKOUT).parts
    ]
    for text in quoted:
        # Variable parts are in braces in the source.
        pieces = [re.escape(piece.strip()) for piece in text.split("…") if piece.strip()]
        for piece in pieces:
            words = re.sub(r"(\\ )+", r"\\s+(?:f?\"\\s*)?", piece)
            assert any(re.search(words, source) for source in sources), f"{text}: {piece}"
