"""Growth of the machines' work: 1, 3 and 9 webs of the production stack, under the same load."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Callable

from devtools import ports
from devtools.checkout import Checkout
from devtools.readiness import wait_until
from devtools.terminal import Terminal

from . import wrk
from .measure import Measure
from .trial import HOST, Trial

WEBS = (1, 3, 9)
# Of each web: 9 of them have 72 connections, and PostgreSQL allows 100.
PROCESSES, THREADS = 2, 4
CONNECTIONS = 24
WARM_UP = 2  # seconds of load that is not counted
SECONDS = 20  # two health checks of each container
SEARCH = "/api/v1/products/?search=product"  # read from the database each time
_FOUND_WITHIN = 60  # seconds for the proxy to find a new web

# Processor time in ns, of either version of control groups; memory in KiB, shared pages divided.
_PROCESSOR = (
    "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2> /dev/null ||"
    ' awk \'$1 == "usage_usec" {print $2 "000"}\' /sys/fs/cgroup/cpu.stat'
)
_MEMORY = "cat /proc/[0-9]*/smaps_rollup 2> /dev/null | awk '/^Pss:/ {sum += $2} END {print sum}'"
_CONNECTIONS = (
    "psql -U postgres -AtXc \"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'\""
)


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times in one production stack, made for it and removed at the end.

    Raises:
        DevError: where there is no wrk, no Docker, or the stack does not start.
    """
    wrk.demand(checkout)
    chosen = {"WEB_CONCURRENCY": str(PROCESSES), "WEB_THREADS": str(THREADS)}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        trial = Trial(checkout, Path(directory), chosen)
        with trial.up():
            for number in range(1, rounds + 1):
                for webs in WEBS:
                    with terminal.step(f"round {number}, {webs} webs"):
                        for (name, unit), value in _loaded(trial, webs).items():
                            found[f"{name}, {webs} webs", unit].append(value)
    return [Measure(name, unit, None, values) for (name, unit), values in found.items()]


def _loaded(trial: Trial, webs: int) -> dict[tuple[str, str], float]:
    """The figures of a load on so many webs."""
    scale = ("up", "--detach", "--wait", "--no-recreate", "--scale", f"web={webs}")
    trial.compose(*scale, timeout=600)
    _until_all_answer(trial)
    idle = _used(trial, lambda: time.sleep(SECONDS))
    said: dict[str, float] = {}
    used = _used(trial, lambda: said.update(_load(trial, SECONDS)))
    shares = {
        f"{name}'s processor for each": max(0, one - idle[name]) / said["requests"] * 1000
        for name, one in used.items()
    }
    return {
        ("answers", "/s"): said["requests"] / said["seconds"],
        ("p50", "ms"): said["p50"],
        ("p99", "ms"): said["p99"],
        ("errors", ""): said["errors"],
        **{(name, "ms"): share for name, share in shares.items()},
        ("processors that web, db and proxy use", ""): sum(used.values()) / said["seconds"],
        ("processors that they use without load", ""): sum(idle.values()) / SECONDS,
        ("memory of web", "MB"): _sum(trial, "web", _MEMORY) * 1024 / 1e6,
        ("memory of db", "MB"): _sum(trial, "db", _MEMORY) * 1024 / 1e6,
        ("connections", ""): _sum(trial, "db", _CONNECTIONS),
    }


def _until_all_answer(trial: Trial) -> None:
    """Load it until the proxy sends requests to each of the webs."""

    def all_answer() -> bool:
        before = _each(trial, "web", _PROCESSOR)
        _load(trial, WARM_UP)
        worked = [after - one for one, after in zip(before, _each(trial, "web", _PROCESSOR))]
        return min(worked) > max(worked) / 5  # a health check is less

    wait_until(all_answer, _FOUND_WITHIN, "the proxy does not send requests to every web")


def _load(trial: Trial, seconds: float) -> dict[str, float]:
    url = f"https://{ports.LOOPBACK}:{trial.published('proxy', 8443)}{SEARCH}"
    return wrk.load(trial.checkout, url, {"Host": HOST}, CONNECTIONS, seconds)


def _used(trial: Trial, work: Callable[[], object]) -> dict[str, float]:
    """Seconds of processor time during `work`, by service."""
    before = _processor(trial)
    work()
    return {name: after - before[name] for name, after in _processor(trial).items()}


def _processor(trial: Trial) -> dict[str, float]:
    """Seconds of processor time so far, by service."""
    return {name: _sum(trial, name, _PROCESSOR) / 1e9 for name in ("web", "db", "proxy")}


def _sum(trial: Trial, service: str, script: str) -> float:
    return sum(_each(trial, service, script))


def _each(trial: Trial, service: str, script: str) -> list[float]:
    return [
        float(trial.docker("exec", one, "sh", "-c", script).output)
        for one in trial.containers(service)
    ]
