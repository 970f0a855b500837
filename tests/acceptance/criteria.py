"""Acceptance criteria: markers of ordinary tests, with an id and a statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from devtools.errors import UsageError
from devtools.nearest import nearest

# The fixture `seen`: a test calls it with what it saw, in a few words.
Seen = Callable[[str], None]
Test = TypeVar("Test", bound=Callable[..., None])

CHAPTERS = {
    "LDE": "Local environment",
    "BC": "Backend container",
    "BP": "Backend and production",
    "AWS": "AWS services",
    "WS": "Workspace",
    "PL": "Platform",
}


def criterion(
    identifier: str, statement: str = "", *, long: bool = False, needs_docker: str = ""
) -> Callable[[Test], Test]:
    """Mark a test that shows a criterion; one of a criterion's tests has the statement.

    A `long` one takes a minute or more, and `--quick` leaves it out. `needs_docker` is the reason
    why only Docker can show it.
    """
    marks = [pytest.mark.criterion(identifier, statement)]
    if long:
        marks.append(pytest.mark.long)
    if needs_docker:
        marks.append(pytest.mark.needs_docker(needs_docker))

    def mark(test: Test) -> Test:
        for one in marks:
            test = one(test)
        return test

    return mark


@dataclass
class Criterion:
    """A statement about the stack, and the tests that show it."""

    id: str
    statement: str = ""
    tests: list[pytest.Item] = field(default_factory=list)

    @property
    def chapter(self) -> str:
        return self.id.partition("-")[0]


def declared(items: Iterable[pytest.Item]) -> dict[str, Criterion]:
    """The criteria that these tests show, by id, in the order of the chapters."""
    found: dict[str, Criterion] = {}
    for item in items:
        for marker in item.iter_markers("criterion"):
            identifier, statement = marker.args
            one = found.setdefault(identifier, Criterion(identifier))
            one.statement = one.statement or statement
            one.tests.append(item)
    return dict(sorted(found.items(), key=lambda pair: _place(pair[0])))


def choose(criteria: dict[str, Criterion], words: Sequence[str]) -> list[Criterion]:
    """The criteria that `words` name; all of them without words.

    A word is an id (`LDE-1.1`) or the beginning of some (`LDE-1`, `BP`). Raises UsageError.
    """
    for word in words:
        if not any(_names(word.upper(), name) for name in criteria):
            raise UsageError(
                f"there is no criterion {word!r}", nearest(word.upper(), [*CHAPTERS, *criteria])
            )
    return [
        one
        for name, one in criteria.items()
        if not words or any(_names(word.upper(), name) for word in words)
    ]


def _names(word: str, identifier: str) -> bool:
    return identifier == word or identifier.startswith((f"{word}-", f"{word}."))


def _place(identifier: str) -> tuple[int, list[int]]:
    chapters = list(CHAPTERS)
    chapter = identifier.partition("-")[0]
    place = chapters.index(chapter) if chapter in chapters else len(chapters)
    return place, [int(number) for number in re.findall(r"\d+", identifier)]
