"""Runs the checks concurrently, each with a time limit, and applies fixes."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DevError, NoAnswer
from ..terminal import Mark, Terminal
from . import checkout, machine, services, stack
from .check import Check, Confirm, Result, State, of, wrong
from .context import Context, NotApplicable

# In display order: that of their definitions.
CHECKS: Mapping[str, Check] = {
    one.name: one
    for module in (machine, checkout, stack, services)
    for one in vars(module).values()
    if isinstance(one, Check)
}

# Longer than the time limit of any single query to Docker.
LIMIT = 60  # seconds for all checks together


def examine(
    context: Context, names: Sequence[str] = (), checks: Mapping[str, Check] = CHECKS
) -> list[Result]:
    """The results of the checks `names`, or of all checks, in their order."""
    wanted = [name for name in checks if name in (names or checks)]
    found = {name: _late(name) for name in wanted}

    def run(name: str) -> None:
        found[name] = _one(checks[name], context)

    # Daemon threads: a check that hangs must not keep ./dev from exiting.
    threads = [threading.Thread(target=run, args=[name], daemon=True) for name in wanted]
    end = time.monotonic() + LIMIT
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    return list(found.values())


def fix(context: Context, results: Sequence[Result], confirm: Confirm) -> dict[str, list[str]]:
    """Apply fixes that cannot lose data to the problems in `results`; return the actions by check.

    Raises nothing: a failed fix is reported instead.
    """
    done = {}
    for result in results:
        apply = CHECKS[result.name].fix
        if not (apply and result.fixable):
            continue
        try:
            done[result.name] = apply(context, confirm)
        except NotApplicable as reason:
            done[result.name] = [f"not fixed: {reason}"]
        except DevError as error:
            done[result.name] = [f"not fixed: {problem.what}" for problem in error.problems]
    return done


def passed(results: Sequence[Result]) -> bool:
    """Whether nothing is WRONG; warnings and unknown results do not count."""
    return not any(result.state is State.WRONG for result in results)


def as_json(results: Sequence[Result], done: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The format of `./dev doctor --json`; keys are only ever added."""
    return {
        "state": "ok" if passed(results) else "wrong",
        "checks": [result.as_json() for result in results],
        "fixed": {name: list(lines) for name, lines in done.items()},
    }


_MARKS = {
    State.OK: Mark.GOOD,
    State.WARNING: Mark.WARNING,
    State.WRONG: Mark.BAD,
    State.UNKNOWN: Mark.WARNING,
    State.NOT_APPLICABLE: Mark.WAITING,
}


def show(terminal: Terminal, results: Sequence[Result], done: Mapping[str, Sequence[str]]) -> None:
    """Print `results` and the fixes that were applied."""
    width = max(len(result.name) for result in results)
    for result in results:
        first, *others = result.finding.splitlines()
        if result.state is State.NOT_APPLICABLE:
            first = terminal.faint(f"not applicable: {first}")
        if result.state is State.UNKNOWN:
            first = f"unknown: {first}"
        terminal.mark(_MARKS[result.state], f"{result.name:<{width}}  {first}")
        for line in others:
            terminal.say(f"  {'':<{width}}  {line}")
        for line in result.remedy.splitlines():
            terminal.say(f"  {'':<{width}}  {terminal.paint('->', '36')} {line}")
    for name, lines in done.items():
        for line in lines or ["nothing could be fixed"]:
            terminal.mark(Mark.GOOD if lines else Mark.WAITING, f"{name}: {line}")
    counts = {state: sum(result.state is state for result in results) for state in State}
    terminal.say("")
    terminal.say(", ".join(f"{n} {state.value}" for state, n in counts.items() if n))


def _one(check: Check, context: Context) -> Result:
    began = time.monotonic()
    try:
        result = check.examine(context)
    except NotApplicable as reason:
        result = Result(State.NOT_APPLICABLE, str(reason))
    except NoAnswer as error:
        result = of(error.problems, state=State.UNKNOWN)
    except DevError as error:
        result = of(error.problems)
    except Exception as error:
        result = wrong(
            f"internal error in the check: {type(error).__name__}: {error}",
            f"report it, with the output of: ./dev doctor {check.name}",
        )
    return dataclasses.replace(result, name=check.name, seconds=time.monotonic() - began)


def _late(name: str) -> Result:
    remedy = f"try again alone: ./dev doctor {name}"
    return Result(State.UNKNOWN, f"no answer within {LIMIT} s", remedy, name, LIMIT)
