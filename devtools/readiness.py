"""Waiting until all services are healthy, or one fails."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple, TypeVar

from .errors import DevError
from .terminal import Board, Mark, Terminal

INTERVAL = 0.25
# For cheap checks.
QUICK = 0.05
LAST_LINES = 20

Found = TypeVar("Found")


class Verdict(NamedTuple):
    """The state of a service, with its description."""

    mark: Mark
    state: str


def follow(
    terminal: Terminal,
    names: Sequence[str],
    look: Callable[[], Mapping[str, Verdict]],
    explain: Callable[[str, str], DevError],
    timeout: float,
    *,
    interval: float = INTERVAL,
) -> None:
    """Show the progress of `names`, polling `look`, until all are healthy.

    If a service fails, or is not healthy `timeout` seconds after it began, or no service begins for
    as long while the others wait, raises the error that `explain` returns for its
    name and state. `look` may raise. On Ctrl-C it prints the states and re-raises.
    """
    board = Board(terminal, names)
    # Each service's mark, and when it got that.
    marked = dict.fromkeys(names, (Mark.WAITING, 0.0))
    try:
        while True:
            verdicts = look()
            for name, verdict in verdicts.items():
                board.show(name, verdict.mark, verdict.state)
                if verdict.mark is not marked[name][0]:
                    marked[name] = verdict.mark, board.elapsed
            board.draw()
            failed = [name for name, verdict in verdicts.items() if verdict.mark is Mark.BAD]
            if failed:
                raise explain(failed[0], verdicts[failed[0]].state)
            if all(verdict.mark is Mark.GOOD for verdict in verdicts.values()):
                return
            if slow := _out_of_time(marked, board.elapsed - timeout):
                state = f"not ready after {timeout:.0f} s ({verdicts[slow].state})"
                raise explain(slow, state)
            time.sleep(interval)
    except KeyboardInterrupt:
        standing = ", ".join(f"{name} {state}" for name, state in board.states().items())
        terminal.say(f"\nstopped watching: {standing}")
        terminal.say("  ./dev up continues from here, ./dev down stops everything")
        raise


def _out_of_time(marked: Mapping[str, tuple[Mark, float]], earliest: float) -> str:
    """A service that has been starting since before `earliest`, or, while none starts, one that
    waits since before then without a change of any other; empty if there is none."""
    starting = {name: since for name, (mark, since) in marked.items() if mark is Mark.BUSY}
    if starting:
        first = min(starting, key=starting.__getitem__)
        return first if starting[first] < earliest else ""
    if max(since for _, since in marked.values()) >= earliest:
        return ""
    return next((name for name, (mark, _) in marked.items() if mark is Mark.WAITING), "")


def wait_until(
    condition: Callable[[], Found], timeout: float, otherwise: str, interval: float = QUICK
) -> Found:
    """The first true value of `condition`, polled every `interval` seconds.

    Raises DevError with `otherwise` after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > end:
            raise DevError(f"{otherwise} within {timeout:.0f} s")
        time.sleep(interval)
    return found


def failure(terminal: Terminal, name: str, state: str, log: str) -> DevError:
    """The error for a failed service; prints the last lines of its `log`."""
    lines = log.rstrip().splitlines()
    if lines:
        terminal.heading(f"the last lines of {name}:")
        for line in lines[-LAST_LINES:]:
            terminal.say(f"  {line}")
    return DevError(
        f"{name}: {state}",
        f"./dev logs {name}   shows the whole log; fix the cause, then run ./dev up again",
    )
