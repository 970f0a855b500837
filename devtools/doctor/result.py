"""What a check returns."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ..errors import Problem


class State(enum.Enum):
    """The outcome; only WRONG makes `./dev doctor` fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    # No answer in time, which is not an error.
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Result:
    """What a check found (`finding`, one line for each item) and the commands that fix it."""

    state: State
    finding: str
    remedy: str = ""
    name: str = ""
    seconds: float = 0

    @property
    def fixable(self) -> bool:
        """Whether there is something to fix."""
        return self.state in (State.WARNING, State.WRONG)

    def as_json(self) -> dict[str, object]:
        """The format of `./dev doctor --json`; keys are only ever added."""
        return {**asdict(self), "state": self.state.value, "seconds": round(self.seconds, 3)}


class NotApplicable(Exception):
    """The check cannot run here; the text gives the reason."""


def ok(finding: str) -> Result:
    return Result(State.OK, finding)


def warning(finding: str, remedy: str) -> Result:
    return Result(State.WARNING, finding, remedy)


def wrong(finding: str, remedy: str) -> Result:
    return Result(State.WRONG, finding, remedy)


def of(problems: Sequence[Problem], otherwise: str, state: State = State.WRONG) -> Result:
    """All of `problems` as one result, or `otherwise` if there are none."""
    if not problems:
        return ok(otherwise)
    remedies = dict.fromkeys(problem.remedy for problem in problems if problem.remedy)
    return Result(state, "\n".join(p.what for p in problems), "\n".join(remedies))
