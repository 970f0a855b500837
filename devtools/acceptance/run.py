"""Running criteria one after the other, whatever becomes of each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

from ..errors import DevError
from ..terminal import Mark, Terminal, seconds
from .criteria import Criterion, Failed, NotApplicable
from .stack import Stack

PASS, FAIL = "pass", "fail"
NOT_APPLICABLE, LEFT_OUT = "not applicable", "left out"
MARKS = {PASS: Mark.GOOD, FAIL: Mark.BAD, NOT_APPLICABLE: Mark.WAITING, LEFT_OUT: Mark.WAITING}


@dataclass(frozen=True)
class Outcome:
    """What became of a criterion: `evidence` is what was seen or why not; `took` in seconds."""

    criterion: Criterion
    status: str
    evidence: str
    remedy: str
    took: float


def verify(
    stack: Stack, criteria: Sequence[Criterion], *, quick: bool, terminal: Terminal | None
) -> list[Outcome]:
    """Check `criteria`; show each on `terminal` as it ends. What they made is removed after."""
    with stack:
        outcomes = []
        for one in criteria:
            if terminal and terminal.live:
                terminal.rewrite([terminal.fit(f"  … {one.id}  {one.statement}")], 0)
            outcome = _check(stack, one, quick=quick)
            outcomes.append(outcome)
            if terminal:
                _show(terminal, outcome)
        return outcomes


def _check(stack: Stack, criterion: Criterion, *, quick: bool) -> Outcome:
    began = time.monotonic()

    def outcome(status: str, evidence: str, remedy: str = "") -> Outcome:
        flat = " ".join(evidence.split()).replace(f"{stack.checkout.root}/", "")
        return Outcome(criterion, status, flat, remedy, time.monotonic() - began)

    if criterion.needs_docker and not stack.compose:
        return outcome(NOT_APPLICABLE, criterion.needs_docker)
    if criterion.long and quick:
        return outcome(LEFT_OUT, "takes long; --quick leaves it out")
    try:
        return outcome(PASS, stack.once(criterion.check))
    except NotApplicable as reason:
        return outcome(NOT_APPLICABLE, str(reason))
    except Failed as failure:
        return outcome(FAIL, failure.finding, failure.remedy)
    except DevError as error:
        problem = error.problems[0]
        return outcome(FAIL, problem.what, problem.remedy)
    except Exception as error:  # a check that breaks has shown nothing
        return outcome(FAIL, f"the check broke: {type(error).__name__}: {error}", "report it")


def _show(terminal: Terminal, outcome: Outcome) -> None:
    took = seconds(outcome.took) if outcome.status in (PASS, FAIL) else ""
    line = f"{outcome.criterion.id:<8}  {took:>8}  {outcome.evidence}"
    if outcome.status in (NOT_APPLICABLE, LEFT_OUT):
        line = terminal.faint(f"{outcome.criterion.id:<8}  {'':>8}  {outcome.status}: ")
        line += terminal.faint(outcome.evidence)
    if terminal.live:
        terminal.rewrite([], 1)
    terminal.mark(MARKS[outcome.status], line)
    if outcome.status == FAIL:
        terminal.say(f"{'':12}wanted: {outcome.criterion.statement}")
        if outcome.remedy:
            terminal.say(f"{'':12}try: {outcome.remedy}")


def progress(terminal: Terminal) -> Callable[[str], None]:
    """What shows a long check's lines: the last of them, in place, on a terminal only."""

    def hear(line: str) -> None:
        if terminal.live and line.strip():
            terminal.rewrite([terminal.fit(f"  … {line.strip()}")], 1)

    return hear
