"""The embedded engine: from a fresh copy with nothing cached to an idle stack."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from devtools.checkout import Checkout
from devtools.terminal import Terminal

from .copy import Copy, empty_caches, first_page
from .measure import Measure

COLD = "fresh copy, no package cached, to the first page"
WARM = "up, everything made"
DOWN = "down"
MEMORY = "memory of the idle stack (PSS)"

BUDGETS = {
    COLD: ("s", 45),
    WARM: ("s", 4),
    DOWN: ("s", 6),
    MEMORY: ("MB", 500),
}

# Enough that each of Gunicorn's processes has answered and holds what it will hold.
_PAGES = 20


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times, each in a fresh copy of `checkout` beside the user's own stack."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory() as directory, terminal.step(f"round {number}"):
            _Round(checkout, Path(directory)).run(found)
    return [Measure(name, *budget, found[name]) for name, budget in BUDGETS.items()]


class _Round:
    def __init__(self, checkout: Checkout, directory: Path) -> None:
        self._copy = Copy(checkout, directory, empty_caches(directory))

    def run(self, found: dict[str, list[float]]) -> None:
        def timed(name: str, *work: Callable[[], object]) -> None:
            began = time.monotonic()
            for part in work:
                part()
            found[name].append(time.monotonic() - began)

        def first() -> None:
            first_page(self._copy.port)

        dev = self._copy.dev
        try:
            timed(COLD, lambda: dev("up"), first)
            timed(DOWN, lambda: dev("down"))
            timed(WARM, lambda: dev("up"))
            for _ in range(_PAGES):
                first()
            found[MEMORY] += self._megabytes()
        finally:
            dev("clean", "--yes")

    def _megabytes(self) -> list[float]:
        asked = self._copy.ask_of_supervisor("memory.py")
        return [int(asked.output) / 1e6] if asked.ok else []
