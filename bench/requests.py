"""Processor time of a request with development's settings, beside a plain Django's.

Two Gunicorns with the same workers and threads answer in turns, over several connections.
"""

from __future__ import annotations

import contextlib
import http.client
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devtools import ports
from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.readiness import wait_until
from devtools.services import WEB
from devtools.terminal import Terminal

from .beside import YARDSTICKS, Process, ratio, running
from .copy import Copy, answers, free_port
from .measure import Measure

WORKERS, THREADS = "2", "4"
CONNECTIONS = 10
REQUESTS = 200  # of each connection, in each round

TRIVIAL, LIST, PLAIN = "trivial request", "list of products", "trivial request, plain Django"
OURS = {TRIVIAL: "/api/v1/health/live/", LIST: "/api/v1/products/"}
TRACED, UNTRACED = "request of four spans", "request of four spans, untraced"
EMPTY = "four empty spans of the library"
SPANS, EMPTY_SPANS = "/bench/spans/", "/bench/empty-spans/"  # backend/benchmarks/spans.py


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times, in a copy of `checkout` with a separate stack."""
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        copy = Copy(checkout, Path(directory), {})
        copy.share(checkout, terminal)
        with copy.up(), contextlib.ExitStack() as servers:
            ours = servers.enter_context(_ours(copy, terminal, "core.wsgi"))
            plain = servers.enter_context(_plain(copy, terminal))
            traced = servers.enter_context(_ours(copy, terminal, "benchmarks.traced"))
            untraced = servers.enter_context(_ours(copy, terminal, "benchmarks.untraced"))
            asked = {name: (*ours, path) for name, path in OURS.items()}
            asked[PLAIN] = (*plain, "/")
            asked[TRACED] = (*traced, SPANS)
            asked[UNTRACED] = (*untraced, SPANS)
            asked[EMPTY] = (*untraced, EMPTY_SPANS)
            for where in asked.values():
                _milliseconds(*where)
            for number in range(1, rounds + 1):
                with terminal.step(f"round {number}"):
                    for name, where in asked.items():
                        found[name].append(_milliseconds(*where))
    return [
        Measure(TRIVIAL, "ms", None, found[TRIVIAL]),
        Measure(PLAIN, "ms", None, found[PLAIN]),
        ratio(f"{TRIVIAL}, over plain Django", 1.25, found[TRIVIAL], found[PLAIN]),
        Measure(LIST, "ms", 1.0, found[LIST]),
        ratio(f"{LIST}, over plain Django's trivial request", None, found[LIST], found[PLAIN]),
        Measure(TRACED, "ms", None, found[TRACED]),
        Measure("its traces", "ms", 0.25, _more(found[TRACED], found[UNTRACED])),
        Measure(EMPTY, "ms", None, _more(found[EMPTY], found[UNTRACED])),
    ]


def _more(ours: Sequence[float], plain: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(ours, plain)]


Server = tuple[Process, int]  # and its port


@contextlib.contextmanager
def _ours(copy: Copy, terminal: Terminal, application: str) -> Iterator[Server]:
    port = free_port()
    variables = {
        **copy.variables_of(WEB, terminal),
        "WEB_BIND": f"{ports.LOOPBACK}:{port}",
        "WEB_CONCURRENCY": WORKERS,
        "WEB_THREADS": THREADS,
        "SERVER": "gunicorn",
    }
    command = ["python", "-m", "gunicorn", application]
    with running(copy, command, copy.checkout.root / "backend", variables) as process:
        wait_until(lambda: answers(port), 60, "Gunicorn did not answer")
        yield process, port


@contextlib.contextmanager
def _plain(copy: Copy, terminal: Terminal) -> Iterator[Server]:
    port = free_port()
    command = ["python", "-m", "gunicorn", "plain_django:application", "--preload"]
    command += ["--bind", f"{ports.LOOPBACK}:{port}", "--access-logfile", "-"]
    command += ["--worker-class", "gthread", "--workers", WORKERS, "--threads", THREADS]
    with running(copy, command, YARDSTICKS, copy.variables_of(WEB, terminal)) as process:
        wait_until(lambda: answers(port), 60, "the plain Django did not answer")
        yield process, port


def _milliseconds(process: Process, port: int, path: str) -> float:
    """Processor time of one request, from many."""
    before = process.processor()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(_ask, [port] * CONNECTIONS, [path] * CONNECTIONS))
    return (process.processor() - before) / (CONNECTIONS * REQUESTS) * 1000


def _ask(port: int, path: str) -> None:
    with contextlib.closing(http.client.HTTPConnection(ports.LOOPBACK, port, timeout=30)) as opened:
        for _ in range(REQUESTS):
            opened.request("GET", path, headers={"Host": f"localhost:{port}"})
            answer = opened.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise DevError(f"{path} was answered with {answer.status}")
