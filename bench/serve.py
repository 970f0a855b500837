"""Replacing the web server: until the command returns, and until the first page."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from pathlib import Path

from devtools.checkout import Checkout
from devtools.readiness import wait_until
from devtools.terminal import Terminal

from .copy import Copy, answers, free_port
from .measure import Measure

_BUDGETS = {False: (1, 2), True: (1, 3)}  # with a debugger: until the command returns, the page
_TURN = 0.01
_PATIENCE = 60  # seconds


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Switch `rounds` times in each way, in a copy of `checkout` with a separate stack."""
    found: dict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
    ways = [(server, debug) for debug in (False, True) for server in ("runserver", "gunicorn")]
    with tempfile.TemporaryDirectory() as directory:
        copy = Copy(checkout, Path(directory), {"WEB_DEBUG_PORT": str(free_port())})
        copy.share(checkout, terminal)
        with copy.up():
            for number in range(1, rounds + 1):
                with terminal.step(f"round {number}"):
                    for way in ways:
                        found[way].append(_switch(copy, *way))
    measures = []
    for server, debug in ways:
        name = f"to {server}" + (" --debug" if debug else "")
        returned, answered = zip(*found[server, debug])
        measures += [
            Measure(f"{name}, the command returns", "s", _BUDGETS[debug][0], returned),
            Measure(f"{name}, first page", "s", _BUDGETS[debug][1], answered),
        ]
    return measures


def _switch(copy: Copy, server: str, debug: bool) -> tuple[float, float]:
    """Seconds until `./dev serve` returns, and until the first page."""
    began = time.monotonic()
    copy.dev("serve", server, *(["--debug"] if debug else []))
    returned = time.monotonic() - began
    wait_until(lambda: answers(copy.port), _PATIENCE, f"{server} did not answer", _TURN)
    return returned, time.monotonic() - began
