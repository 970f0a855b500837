"""Processes of this project and of a yardstick, run beside each other: their processor time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from devtools import environment
from devtools.process import background

from .copy import Copy
from .measure import Measure

YARDSTICKS = Path(__file__).with_name("yardsticks")
_PROCESSOR = Path(__file__).with_name("processor.py")


class Process:
    """A running process of `copy`, with all below it."""

    def __init__(self, copy: Copy, process: int) -> None:
        self._copy = copy
        self._process = process

    def processor(self) -> float:
        """Seconds of processor time used so far. Raises DevError if it has ended."""
        checkout = self._copy.checkout
        python = str(environment.python(checkout))
        done = checkout.run([python, "-B", str(_PROCESSOR), str(self._process)])
        return float(done.must("the measured process has ended").output)


@contextlib.contextmanager
def running(
    copy: Copy, command: Sequence[str], directory: Path, variables: Mapping[str, str]
) -> Iterator[Process]:
    """Run `command` while the block runs."""
    with background(command, directory=directory, environment=variables) as started:
        yield Process(copy, started.process)


def ratio(name: str, goal: float | None, ours: Sequence[float], plain: Sequence[float]) -> Measure:
    """Ours over the yardstick, round by round: both met the same machine in each."""
    return Measure(name, "x", goal, [one / other for one, other in zip(ours, plain)])
