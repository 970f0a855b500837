"""What each middleware has of a request's processor time.

The whole, less the whole without that one, inside one process: without Gunicorn's share. What
another one needs cannot be left out.
"""

from __future__ import annotations

from devtools.checkout import Checkout
from devtools.terminal import Terminal

from . import inside
from .measure import Measure


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure in the running stack, which serves meanwhile."""
    return inside.rounds_of(checkout, terminal, rounds, "bench_ablation")
