"""What a criterion is, and how one is chosen by its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from ..errors import UsageError
from ..nearest import nearest

if TYPE_CHECKING:
    from .stack import Stack

# A check returns what it saw, in a few words; it raises Failed or NotApplicable.
Check = Callable[["Stack"], str]

CHAPTERS = {
    "LDE": "Local environment",
    "BC": "Backend container",
    "BP": "Backend and production",
    "AWS": "AWS services",
    "WS": "Workspace",
    "PL": "Platform",
}


class Failed(Exception):
    """The criterion is not met: what was found, and what to type against it."""

    def __init__(self, finding: str, remedy: str = "") -> None:
        super().__init__(finding)
        self.finding = finding
        self.remedy = remedy


class NotApplicable(Exception):
    """The criterion cannot be shown on this engine; the text is the reason."""


@dataclass(frozen=True)
class Criterion:
    """One statement about the stack. `needs_docker` says why, where Docker alone can show it."""

    id: str
    statement: str
    check: Check
    long: bool
    needs_docker: str

    @property
    def chapter(self) -> str:
        return self.id.partition("-")[0]


CRITERIA: dict[str, Criterion] = {}


def criterion(
    identifier: str, statement: str, *, long: bool = False, needs_docker: str = ""
) -> Callable[[Check], Check]:
    """Register a check. `long` takes a minute or more, and `--quick` leaves it out."""

    def register(check: Check) -> Check:
        if identifier in CRITERIA:
            raise ValueError(f"{identifier} is registered twice")
        CRITERIA[identifier] = Criterion(identifier, statement, check, long, needs_docker)
        return check

    return register


def choose(words: Sequence[str]) -> list[Criterion]:
    """The criteria that `words` name, in the order of the chapters; all of them without words.

    A word is an id (`LDE-1.1`) or the beginning of some (`LDE-1`, `BP`). Raises UsageError.
    """
    chosen = set()
    for word in words:
        found = [name for name in CRITERIA if _names(word.upper(), name)]
        if not found:
            raise UsageError(
                f"there is no criterion {word!r}", nearest(word.upper(), [*CHAPTERS, *CRITERIA])
            )
        chosen.update(found)
    order = list(CHAPTERS)
    return sorted(
        (one for name, one in CRITERIA.items() if not words or name in chosen),
        key=lambda one: order.index(one.chapter),
    )


def _names(word: str, identifier: str) -> bool:
    return identifier == word or identifier.startswith((f"{word}-", f"{word}."))
