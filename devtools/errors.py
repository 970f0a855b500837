"""The errors of ./dev: a finding, its remedy, an exit status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FAILED = 1
USAGE = 2


@dataclass(frozen=True)
class Problem:
    """One problem (`what`, a clause) and how to fix it (`remedy`)."""

    what: str
    remedy: str = ""


class DevError(Exception):
    """A command cannot continue. Carries one or more problems and the exit status."""

    exit_status = FAILED

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.problems = [Problem(what, remedy)]

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> DevError:
        """All of `problems` in one error, so that they can be fixed together."""
        problems = list(problems)
        error = cls(problems[0].what)
        error.problems = problems
        return error


class NoAnswer(DevError):
    """No answer in time: the state is unknown."""


class PortLost(DevError):
    """Another program took a port between its choice and its use: a second start finds another."""


class UsageError(DevError):
    """The command line is invalid."""

    exit_status = USAGE
