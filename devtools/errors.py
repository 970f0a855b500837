"""The one shape in which ./dev says what is wrong: a finding, its remedy, an exit status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FAILED = 1
USAGE = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong (`what`, a clause) and what to type against it (`remedy`)."""

    what: str
    remedy: str = ""


class DevError(Exception):
    """A command cannot go on. Carries one or more problems and the exit status."""

    def __init__(self, what: str, remedy: str = "", exit_status: int = FAILED) -> None:
        super().__init__(what)
        self.problems: list[Problem] = [Problem(what, remedy)]
        self.exit_status = exit_status

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> DevError:
        """All of `problems` at once, so that nobody mends them one run at a time."""
        problems = list(problems)
        error = cls(problems[0].what)
        error.problems = problems
        return error


class NoAnswer(DevError):
    """What was asked did not answer in time: nothing is known of it, not even its absence."""


class UsageError(DevError):
    """The command line was not understood."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy, exit_status=USAGE)
