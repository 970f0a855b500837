"""The production stack: under load, at work, and built again after an edit."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from devtools import ports
from devtools.checkout import Checkout
from devtools.terminal import Terminal

from . import wrk
from .copy import image_megabytes
from .measure import Measure
from .trial import HOST, TENANT, Trial

CONNECTIONS = (10, 50, 100)
SECONDS = 30  # of each load
TASKS = 500

LIST = "/api/v1/products/"
# None of them has a limit on how often one may ask. From the cache, or from nowhere:
PAGES = {"products": LIST, "first page": "/", "liveness": "/api/v1/health/live/"}

Found = defaultdict[tuple[str, str], list[float]]

WORKER = "tasks sent and done"
REBUILD = "image built again after an edit"

_SEND = f"""
import time
from core.celery import echo
from django_tenants.utils import schema_context
with schema_context("{TENANT}"):
    echo.delay("first").get(timeout=60)
    began = time.monotonic()
    sent = [echo.delay(str(number)) for number in range({TASKS})]
    for one in sent:
        one.get(timeout=300)
    print({TASKS} / (time.monotonic() - began))
"""


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times in one production stack, made for it and removed at the end.

    Raises:
        DevError: where there is no wrk, no Docker, or the stack does not start.
    """
    wrk.demand(checkout)
    cores = str(os.cpu_count() or 1)
    # Nothing but the machine limits them.
    chosen = {"WEB_CPUS": cores, "WORKER_CPUS": cores}
    found: Found = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as running:
        trial = Trial(checkout, Path(directory), chosen)
        with terminal.step("starting a separate production stack"):
            running.enter_context(trial.up())
        for number in range(1, rounds + 1):
            with terminal.step(f"round {number}"):
                _load(trial, found)
                found[WORKER, "/s"].append(_tasks_a_second(trial))
                found[REBUILD, "s"].append(_rebuilt(trial, number))
        size = image_megabytes(trial.checkout, f"{trial.project}:production")
    measures = [
        Measure(name, unit, 0 if name.endswith("errors") else None, values)
        for (name, unit), values in found.items()
    ]
    return [*measures, Measure("image", "MB", 240, [size])]


# --- load ---------------------------------------------------------------------------------


def _load(trial: Trial, found: Found) -> None:
    """Send requests through the proxy and TLS, like users."""
    port = trial.published("proxy", 8443)
    loads = [("products", count) for count in CONNECTIONS]
    loads += [(what, CONNECTIONS[1]) for what in PAGES if what != "products"]
    for what, count in loads:
        url = f"https://{ports.LOOPBACK}:{port}{PAGES[what]}"
        said = wrk.load(trial.checkout, url, {"Host": HOST}, count, SECONDS)
        name = f"{what}, {count} connections"
        found[f"{name}: answers", "/s"].append(said["requests"] / said["seconds"])
        found[f"{name}: p50", "ms"].append(said["p50"])
        found[f"{name}: p99", "ms"].append(said["p99"])
        found[f"{name}: errors", ""].append(said["errors"])


# --- worker and image ---------------------------------------------------------------------


def _tasks_a_second(trial: Trial) -> float:
    shell = ("exec", "-T", "web", "python", "manage.py", "shell", "--verbosity=0")
    return float(trial.compose(*shell, "--command", _SEND, timeout=600).output.split()[-1])


def _rebuilt(trial: Trial, number: int) -> float:
    """Seconds that an image takes after an edit of one line."""
    with (trial.checkout.root / "backend/core/views.py").open("a", encoding="utf-8") as file:
        file.write(f"# edit {number}\n")
    began = time.monotonic()
    trial.build()
    return time.monotonic() - began
