"""The embedded engine: from a fresh copy with nothing cached to an idle stack."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from devtools import environment
from devtools.checkout import Checkout
from devtools.process import capture
from devtools.services import WEB
from devtools.terminal import Terminal

from .beside import ratio
from .copy import Copy, empty_caches, first_page
from .measure import Measure

COLD = "fresh copy, no package cached, to the first page"
WARM = "up, everything made"
CHECK = "manage.py check"
DOWN = "down"
MEMORY = "memory of the idle stack (PSS)"

BUDGETS = {
    COLD: ("s", 45),
    WARM: ("s", None),
    CHECK: ("s", None),
    DOWN: ("s", 2),
    MEMORY: ("MB", 350),
}

# Enough that each of Gunicorn's processes has answered and holds what it will hold.
_PAGES = 20


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times, each in a fresh copy of `checkout` beside the user's own stack."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory() as directory, terminal.step(f"round {number}"):
            _Round(checkout, terminal, Path(directory)).run(found)
    measures = [Measure(name, *budget, found[name]) for name, budget in BUDGETS.items()]
    return [*measures, ratio(f"{WARM}, over {CHECK}", 2.4, found[WARM], found[CHECK])]


class _Round:
    def __init__(self, checkout: Checkout, terminal: Terminal, directory: Path) -> None:
        self._terminal = terminal
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
            timed(CHECK, self._check)
            for _ in range(_PAGES):
                first()
            found[MEMORY] += self._megabytes()
        finally:
            dev("clean", "--yes")

    def _check(self) -> None:
        """Run Django's checks as a process of web does, without ./dev."""
        variables = self._copy.variables_of(WEB, self._terminal)
        root = self._copy.checkout.root
        command = [str(environment.python(self._copy.checkout)), "manage.py", "check"]
        capture(command, directory=root / "backend", environment=variables).must("check failed")

    def _megabytes(self) -> list[float]:
        asked = self._copy.ask_of_supervisor("memory.py")
        return [int(asked.output) / 1e6] if asked.ok else []
