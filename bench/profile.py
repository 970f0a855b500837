"""Where the time of a start, and the processor time of a request and a task go, by package.

Requests and tasks run under Python's profiler, which multiplies their time: compare packages, and
take the time from the parts `requests` and `tasks`.
"""

from __future__ import annotations

from devtools.checkout import Checkout
from devtools.terminal import Terminal

from . import inside
from .measure import Measure


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure in the running stack, which serves meanwhile."""
    return inside.rounds_of(checkout, terminal, rounds, "bench_profile")
