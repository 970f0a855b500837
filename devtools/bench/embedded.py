"""The embedded engine: from a fresh copy with nothing cached to an idle stack."""

from __future__ import annotations

import http.client
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Callable

from .. import environment, ports
from ..checkout import Checkout
from ..embedded.places import Places
from ..embedded.runner import SUBJECT
from ..errors import DevError
from ..process import capture
from ..services import WEB
from ..terminal import Terminal
from .measure import Measure

COLD = "fresh copy, no package cached, to the first page"
WARM = "up, everything made"
DOWN = "down"
TO_RUNSERVER = "gunicorn to runserver"
TO_GUNICORN = "runserver to gunicorn"
MEMORY = "memory of the idle stack (PSS)"

BUDGETS = {
    COLD: ("s", 45),
    WARM: ("s", 4),
    DOWN: ("s", 6),
    TO_RUNSERVER: ("s", 3),
    TO_GUNICORN: ("s", 3),
    MEMORY: ("MB", 500),
}

_NOT_COPIED = (".git", ".venv", ".dev", ".env", "__pycache__")
# Enough that each of Gunicorn's processes has answered and holds what it will hold.
_PAGES = 20
_MEMORY = Path(__file__).with_name("memory.py")


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times, each in a fresh copy of `checkout` beside the user's own stack."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory() as directory, terminal.step(f"round {number}"):
            _Round(checkout, Path(directory)).run(found)
    return [Measure(name, *budget, found[name]) for name, budget in BUDGETS.items()]


class _Round:
    def __init__(self, checkout: Checkout, directory: Path) -> None:
        root = directory / "checkout"
        shutil.copytree(checkout.root, root, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        caches = {"UV_CACHE_DIR": str(directory / "uv"), "PIP_CACHE_DIR": str(directory / "pip")}
        self._copy = Checkout(root, {**checkout.variables, **caches})

    def run(self, found: dict[str, list[float]]) -> None:
        def timed(name: str, *work: Callable[[], None]) -> None:
            began = time.monotonic()
            for part in work:
                part()
            found[name].append(time.monotonic() - began)

        try:
            timed(COLD, lambda: self._dev("up"), self._page)
            timed(DOWN, lambda: self._dev("down"))
            timed(WARM, lambda: self._dev("up"))
            timed(TO_RUNSERVER, lambda: self._dev("serve", "runserver"), self._page)
            timed(TO_GUNICORN, lambda: self._dev("serve", "gunicorn"), self._page)
            for _ in range(_PAGES):
                self._page()
            found[MEMORY] += self._megabytes()
        finally:
            self._dev("clean", "--yes")

    def _dev(self, *arguments: str) -> None:
        done = capture(
            [sys.executable, str(self._copy.root / "dev"), "--engine", "embedded", *arguments],
            directory=self._copy.root,
            environment=self._copy.variables,
            timeout=600,
        )
        if not done.ok:
            raise DevError(f"./dev {' '.join(arguments)} failed: {done.last_words}")

    def _page(self) -> None:
        port = self._copy.recall(SUBJECT)[WEB]
        connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=30)
        try:
            connection.request("GET", "/", headers={"Host": f"localhost:{port}"})
            status = connection.getresponse().status
        finally:
            connection.close()
        if status != http.client.OK:
            raise DevError(f"the first page was answered with {status}", "./dev logs web")

    def _megabytes(self) -> list[float]:
        process = (Places(self._copy).scripts / "supervisord.pid").read_text().strip()
        asked = capture(
            [str(environment.python(self._copy)), "-B", str(_MEMORY), process],
            directory=self._copy.root,
            environment=self._copy.variables,
        )
        return [int(asked.output) / 1e6] if asked.ok else []
