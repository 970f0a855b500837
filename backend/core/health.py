"""Liveness and readiness: is this process alive, and what can it reach?

A probe is a function without arguments that returns quietly, or raises with the fault.
Applications add their own with `register`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import redis
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connection, connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from core import liveness
from core.celery import beat
from core.celery.broker import broker
from core.celery.heartbeat import active_workers

TIME_LIMIT = 1.5  # seconds each probe may take; they run side by side, so also all together

REDIS_TIMEOUT = 1  # seconds for each step, so that a fault has its own name before that

Probe = Callable[[], None]
_probes: dict[str, Probe] = {}
_optional: set[str] = set()
_preparations: dict[str, Callable[[], object]] = {}


def register(
    name: str, *, optional: bool = False, prepare: Callable[[], object] | None = None
) -> Callable[[Probe], Probe]:
    """Add a probe to the readiness answer under this name.

    Without what is `optional` most requests still succeed: the answer is then "degraded", with
    the status 200, so that this process is not taken out of service. `prepare` makes what all
    processes of a server can share, and connects to nothing.
    """

    def add(probe: Probe) -> Probe:
        _probes[name] = probe
        if prepare:
            _preparations[name] = prepare
        if optional:
            _optional.add(name)
        return probe

    return add


def prepare() -> None:
    """Make what probes use, before a server forks its processes."""
    for make in _preparations.values():
        with contextlib.suppress(Exception):  # the probe names the fault
            make()


# --- views --------------------------------------------------------------------------------


@csrf_exempt  # they change nothing: another method is answered 405, not 403
@require_safe
@cache_control(no_store=True)
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 while this process serves requests, independent of the rest of the stack.

    And 503 once it has been told to take no new ones (bin/drain), although it still does.
    """
    status, state = liveness.state()
    return JsonResponse({"status": state}, status=status)


@csrf_exempt  # they change nothing: another method is answered 405, not 403
@require_safe
@cache_control(no_store=True)
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200, or 503 when a needed dependency is down.

    Who may see the detail gets an entry for each dependency, with its fault.
    """
    found = recent_results()
    down = [name for name, result in found.items() if result.error]
    failed = not _optional.issuperset(down)
    body: dict[str, Any] = {
        "status": "fail" if failed else "degraded" if down else "ok",
        "down": down,
        "server": server_name(request),
    }
    if settings.HEALTH_DETAIL or _is_from_within(request):
        body["checks"] = {name: result.as_dict() for name, result in found.items()}
    return JsonResponse(body, status=503 if failed else 200)


def _is_from_within(request: HttpRequest) -> bool:
    """Tell whether this machine or container itself asks, and not somebody through its proxy."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return address.is_loopback and "HTTP_X_FORWARDED_FOR" not in request.META


def server_name(request: HttpRequest) -> str:
    """Return which server runs this process: gunicorn, asgi or runserver."""
    if isinstance(request, ASGIRequest):
        return "asgi"
    software = request.META.get("SERVER_SOFTWARE", "")
    return "gunicorn" if software.startswith("gunicorn") else "runserver"


# --- running probes -----------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """Outcome of one probe: latency in milliseconds, and the fault if there is one."""

    latency_ms: float
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        if self.error:
            return {"status": "fail", "latency_ms": self.latency_ms, "error": self.error}
        return {"status": "ok", "latency_ms": self.latency_ms}


_recent: tuple[float, dict[str, Result]] | None = None
_recent_lock = threading.Lock()


def recent_results() -> dict[str, Result]:
    """Return what the probes found less than HEALTH_REMEMBERED seconds ago, or run them now.

    However many ask at once, one of them runs the probes.
    """
    global _recent
    if not settings.HEALTH_REMEMBERED:
        return run_probes()
    with _recent_lock:
        if _recent is None or time.monotonic() - _recent[0] > settings.HEALTH_REMEMBERED:
            found = run_probes()
            _recent = (time.monotonic(), found)
        return _recent[1]


def run_probes() -> dict[str, Result]:
    """Run every probe side by side, each for `TIME_LIMIT` seconds at most."""
    started = time.monotonic()
    running = {name: _start(name, probe) for name, probe in _probes.items()}
    return {name: _result(future, started) for name, future in running.items()}


# A probe that hangs cannot be stopped; the next request waits for that one instead of adding
# another, so that an outage never piles up threads and connections.
_running: dict[str, Future[float]] = {}
_running_lock = threading.Lock()


def _start(name: str, probe: Probe) -> Future[float]:
    with _running_lock:
        if name in _running:
            return _running[name]
        future: Future[float] = Future()
        _running[name] = future

    def run() -> None:
        failure: Exception | None
        started = time.monotonic()
        try:
            probe()
        except Exception as error:
            outcome, failure = 0.0, error
        else:
            outcome, failure = time.monotonic() - started, None
        finally:
            connections.close_all()  # this thread's own
        with _running_lock:
            del _running[name]
        if failure is None:
            future.set_result(outcome)
        else:
            future.set_exception(failure)

    # A daemon, because a stuck probe must not hold up the end of the process.
    threading.Thread(target=run, name=f"probe-{name}", daemon=True).start()
    return future


def _result(future: Future[float], started: float) -> Result:
    remaining = TIME_LIMIT - (time.monotonic() - started)
    try:
        return Result(round(future.result(timeout=max(0.0, remaining)) * 1000, 1))
    except FutureTimeout:
        error = f"no answer within {TIME_LIMIT} s"
    except Exception as failure:
        # Text only: a driver's message names the host, never the password.
        error = f"{type(failure).__name__}: {failure}".strip().splitlines()[0]
    return Result(round((time.monotonic() - started) * 1000, 1), error)


# --- probes -------------------------------------------------------------------------------


@register("database")
def probe_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@register("cache")
def probe_cache() -> None:
    # A separate client: one that hangs must not be shared with requests.
    with redis.Redis.from_url(
        settings.CACHES["default"]["LOCATION"],
        socket_connect_timeout=REDIS_TIMEOUT,
        socket_timeout=REDIS_TIMEOUT,
    ) as client:
        client.ping()


@register("broker")
def probe_broker() -> None:
    broker().ping()


@register("worker")
def probe_worker() -> None:
    if not active_workers():
        raise RuntimeError(f"no worker has been heard from; {settings.REMEDIES['worker']}")


@register("beat", optional=True)
def probe_beat() -> None:
    # Each worker has one; without a worker, that is what is missing.
    if not beat.runs() and active_workers():
        raise RuntimeError(f"no scheduler has been heard from; {settings.REMEDIES['worker']}")
