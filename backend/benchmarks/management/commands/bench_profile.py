"""The time of a start, a request and a task of a tenant, by package.

A start is measured by its imports. Requests and tasks run under Python's profiler, which multiplies
their time; what is written in C counts for the package that calls it. A request is served without
Gunicorn, and a task is done in one process, without being handed over to another.
"""

from __future__ import annotations

import contextlib
import cProfile
import os
import pstats
import re
import subprocess
import sys
import sysconfig
import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from json import dumps
from pathlib import Path
from typing import Any

from celery import signals
from celery.worker import state
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import get_tenant_model, tenant_context

from benchmarks.management.commands.bench_ablation import REQUESTS, logs_discarded, server
from core.celery import app, echo

TIMES, FIRST = 300, 50  # so many are profiled, after the first ones
SHOWN = 10  # packages; the rest is summed up
BACKEND = Path(settings.BASE_DIR)
LIBRARY = sysconfig.get_path("stdlib")
QUEUE = "profile"  # which the stack's own worker does not take from
OWN, STANDARD = "this project", "Python"
_IMPORT = re.compile(r"^import time: +(\d+) \| +\d+ \| +(\S+)", re.M)

Seconds = Mapping[str, float]  # by package


class Command(BaseCommand):
    help = "Measure which packages take the time of a start, a request and a task."
    requires_system_checks = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="for programs, as ./dev bench")

    def handle(self, *, json: bool, **options: Any) -> None:
        settings.DEBUG = False  # it would keep every query
        found = figures("start of web", start())
        with logs_discarded():
            for name, path in REQUESTS.items():
                found += figures(name, request(path))
            found += figures("task of a tenant", task())
        if json:
            self.stdout.write(dumps(found))
            return
        for one in found:
            self.stdout.write(f"{one['name']:<60}{one['values'][0]:.3g} {one['unit']}")


def figures(name: str, seconds: Seconds) -> list[dict[str, Any]]:
    """Return the whole in milliseconds and the share of each package, largest first."""
    whole = sum(seconds.values())
    largest = sorted(seconds.items(), key=lambda item: -item[1])
    parts = dict(islice(largest, SHOWN))
    if others := sum(took for _, took in islice(largest, SHOWN, None)):
        parts["all others"] = others
    return [
        {"name": f"{name}, all of it", "unit": "ms", "values": [whole * 1000]},
        *(
            {"name": f"{name}: {package}", "unit": "%", "values": [took / whole * 100]}
            for package, took in parts.items()
        ),
    ]


def start() -> Seconds:
    """Return what importing each package takes when web starts, and the work beside imports."""
    began = time.monotonic()
    importing = [sys.executable, "-X", "importtime", "-c", "import core.wsgi"]
    done = subprocess.run(importing, cwd=BACKEND, capture_output=True, text=True, check=True)
    whole = time.monotonic() - began
    found: dict[str, float] = defaultdict(float)
    for microseconds, name in _IMPORT.findall(done.stderr):
        top = name.partition(".")[0]
        ours = OWN if (BACKEND / top).exists() else top
        found[STANDARD if top in sys.stdlib_module_names else ours] += int(microseconds) / 1e6
    return found | {"work beside imports": whole - sum(found.values())}


def request(path: str) -> Seconds:
    """Return the processor time of each package in a request."""
    serve = server(path, "")
    for _ in range(FIRST):
        if not serve():
            raise CommandError(f"{path} was refused")
    profile = cProfile.Profile(time.process_time)
    with profile:
        for _ in range(TIMES):
            serve()
    return by_package(profile)


def task() -> Seconds:
    """Return the processor time of each package in a task, of a worker with its own queue."""
    tenant = get_tenant_model().objects.exclude(schema_name="public").earliest("pk")
    with tenant_context(tenant):
        for number in range(FIRST + TIMES):
            echo.apply_async([str(number)], queue=QUEUE)
    profile = cProfile.Profile(time.process_time)
    done = 0

    @signals.task_postrun.connect(weak=False)
    def count(**_: Any) -> None:
        nonlocal done
        done += 1
        if done == FIRST:
            profile.enable()
        if done == FIRST + TIMES:
            profile.disable()
            state.should_stop = os.EX_OK

    options = ["--pool", "solo", "--queues", QUEUE, "--without-gossip", "--without-mingle"]
    with contextlib.suppress(SystemExit):
        app.worker_main(["--quiet", "worker", *options])
    return by_package(profile)


def by_package(profile: cProfile.Profile) -> Seconds:
    """Return the seconds of each package in one of TIMES."""
    found: dict[str, float] = defaultdict(float)
    stats: Mapping[Any, Any] = vars(pstats.Stats(profile))["stats"]
    for (file, _line, _name), (_, _, took, _, callers) in stats.items():
        if file != "~":
            found[_package(file)] += took / TIMES
            continue
        for (caller, _line, _name), (_, _, share, _) in callers.items():
            found[_package(caller)] += share / TIMES
    return found


def _package(file: str) -> str:
    parts = Path(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return STANDARD if file.startswith((LIBRARY, "<frozen", "~")) else OWN
