"""How a check is declared, and what it returns.

    @check
    def image(context: Context) -> Result: ...

    @image.fixed_by
    def _build(context: Context, confirm: Confirm) -> list[str]: ...

The name of the function is the name of the check. A fix must not lose data: it calls `confirm`
before it deletes anything. It returns one line for each fix that it applied.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Callable

from ..errors import Problem
from .context import Context


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


def ok(finding: str) -> Result:
    return Result(State.OK, finding)


def warning(finding: str, remedy: str) -> Result:
    return Result(State.WARNING, finding, remedy)


def wrong(finding: str, remedy: str) -> Result:
    return Result(State.WRONG, finding, remedy)


def of(problems: Sequence[Problem], otherwise: str = "", state: State = State.WRONG) -> Result:
    """All of `problems` as one result, or `otherwise` if there are none."""
    if not problems:
        return ok(otherwise)
    remedies = dict.fromkeys(problem.remedy for problem in problems if problem.remedy)
    return Result(state, "\n".join(p.what for p in problems), "\n".join(remedies))


# Asks the user whether to do what the text says.
Confirm = Callable[[str], bool]
_Fix = Callable[[Context, Confirm], "list[str]"]


@dataclass
class Check:
    """A check by name."""

    name: str
    examine: Callable[[Context], Result]
    fix: _Fix | None = None

    def fixed_by(self, fix: _Fix) -> _Fix:
        self.fix = fix
        return fix


def check(examine: Callable[[Context], Result]) -> Check:
    """Declare a check; its context raises NotApplicable for what is not available here."""
    return Check(examine.__name__.replace("_", "-"), examine)
