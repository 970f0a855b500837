"""What a debugger costs each request while no editor is attached.

Two Gunicorns with two workers each, one of them under a debugger, answer in turns.
"""

from __future__ import annotations

import contextlib
import http.client
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from devtools import ports, readiness
from devtools.checkout import Checkout
from devtools.process import background
from devtools.services import WEB
from devtools.terminal import Terminal

from .copy import Copy, answers, free_port
from .measure import Measure

REQUESTS = 300  # in each round, to each server
WARM_UP = 50
PATH = "/"  # the tenant's page: a template, and what the database says


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times; the ratio is one of medians."""
    plain: list[float] = []
    debugged: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        copy = Copy(checkout, Path(directory), {})
        copy.share(checkout, terminal)
        with (
            copy.up(),
            _gunicorn(copy, terminal, None) as without,
            _gunicorn(copy, terminal, free_port()) as inside,
        ):
            for server in (without, inside):
                _ask(server, WARM_UP)
            for number in range(1, rounds + 1):
                with terminal.step(f"round {number}"):
                    for _ in range(REQUESTS):
                        plain += _ask(without, 1)
                        debugged += _ask(inside, 1)
    ratio = statistics.median(debugged) / statistics.median(plain)
    return [
        Measure("request, no debugger", "ms", None, plain),
        Measure("request, debugger without an editor", "ms", None, debugged),
        Measure("ratio", "x", 1.05, [ratio]),
    ]


@contextlib.contextmanager
def _gunicorn(
    copy: Copy, terminal: Terminal, debug_port: int | None
) -> Iterator[http.client.HTTPConnection]:
    port = free_port()
    variables = {
        **copy.variables_of(WEB, terminal),
        "WEB_BIND": f"{ports.LOOPBACK}:{port}",
        "WEB_CONCURRENCY": "2",
        "DEBUGPY_PORT": str(debug_port or ""),
        "SERVER": "gunicorn",
    }
    backend = copy.checkout.root / "backend"
    with background(["bin/web"], directory=backend, environment=variables):
        readiness.wait_until(lambda: answers(port, PATH), 60, "Gunicorn did not answer")
        # Kept alive: what is measured is the request, not the connection.
        connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=30)
        yield connection
        connection.close()


def _ask(connection: http.client.HTTPConnection, count: int) -> list[float]:
    """Milliseconds that each of `count` requests took."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("GET", PATH, headers={"Host": f"localhost:{connection.port}"})
        connection.getresponse().read()
        found.append((time.perf_counter() - began) * 1000)
    return found
