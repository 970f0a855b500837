"""What the workbench shows, gathered from the services that answer."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest
from django_tenants.utils import get_public_schema_name, schema_context

from core.celery import stopped_tasks
from core.celery.queue import count_waiting
from core.celery.requeue import count_taken
from core.env import environment
from core.health import Result, run_probes, server_name
from tenants.models import Tenant
from tenants.resolution import stack_in_host
from tenants.services import Summary, list_tenants
from workbench import charts, debugger, traces, worker
from workbench.activity_log import MAIL, REQUESTS, TASKS, connect
from workbench.debugger import Debugger
from workbench.readings import Reading

SHOWN = {"requests": 8, "tasks": 10, "mail": 8, "tenants": 12}

STARTED = time.time()


@dataclass(frozen=True)
class Activity:
    """What the processes noted: each list newest first, `counts` by time.

    `stopped` has the names of the tasks that were stopped, each once.
    """

    requests: list[dict[str, Any]]
    counts: list[dict[str, int]]
    tasks: list[dict[str, Any]]
    mail: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    waiting: int
    running: int
    stopped: list[str]


def read_activity() -> Activity:
    """Read the activity logs and the queue.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    with connect() as client:
        return Activity(
            requests=REQUESTS.newest_first(client),
            counts=traces.counts(client, time.time()),
            tasks=TASKS.newest_first(client),
            mail=MAIL.newest_first(client),
            workers=worker.workers(client),
            waiting=count_waiting(),
            running=count_taken(),
            stopped=sorted({one["task"] for one in stopped_tasks.kept().values()}),
        )


@dataclass(frozen=True)
class Tenants:
    """The tenants that are shown, and how many more there are."""

    shown: list[Summary]
    left_out: int


def read_tenants() -> Tenants:
    """Read the first tenants that have an address, by name.

    Raises:
        django.db.Error: when the database does not answer.
    """
    with schema_context(get_public_schema_name()):
        reachable = Tenant.objects.all()
        if settings.SINGLE_TENANT:
            reachable = reachable.filter(schema_name=settings.SINGLE_TENANT)
        shown = list_tenants(reachable[: SHOWN["tenants"]])
        return Tenants(shown, reachable.count() - len(shown))


SERVICES: Reading[dict[str, Result]] = Reading(run_probes, keep=1)
ACTIVITY: Reading[Activity] = Reading(read_activity, keep=1)
# Sizes are summed over every table.
TENANTS: Reading[Tenants] = Reading(read_tenants, keep=10)
READINGS = (SERVICES, ACTIVITY, TENANTS)


def database_answers() -> bool:
    """Tell whether a request may ask the database without waiting for one that is down."""
    _start()
    services = SERVICES.known().value or {}
    return "database" in services and not services["database"].error


def gather(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the workbench's live part; takes `readings.TIMEOUT` at most."""
    _start()
    services, activity, tenants = SERVICES.known(), ACTIVITY.known(), TENANTS.known()
    noted = activity.value or Activity([], [], [], [], [], 0, 0, [])
    link = links_to_tenants(request)
    listed = tenants.value or Tenants([], 0)
    down = [name for name, result in (services.value or {}).items() if result.error]
    return {
        "services": services,
        "down": down,
        "silent": services.value is None,
        "server": server_of(request),
        "debuggers": [("web", debugger.own().said, debugger.own()), *map(_debugger, noted.workers)],
        "activity": activity,
        "times": charts.times(noted.requests),
        "counted": charts.counted(noted.counts, traces.BUCKET),
        "requests": [shown(entry) for entry in noted.requests[: SHOWN["requests"]]],
        "tasks": [shown(entry) for entry in noted.tasks[: SHOWN["tasks"]]],
        "waiting": noted.waiting,
        "running": noted.running,
        "stopped": noted.stopped,
        "mail": [shown(entry) for entry in noted.mail[: SHOWN["mail"]]],
        "tenants": tenants,
        "tenant_rows": [(tenant, link(tenant.domains[0])) for tenant in listed.shown],
        "tenants_left_out": listed.left_out,
        "single": settings.SINGLE_TENANT,
        "now": datetime.now(UTC),
    }


def _start() -> None:
    """Begin all readings together, so that what hangs costs its time only once."""
    for reading in READINGS:
        reading.start()


def server_of(request: HttpRequest) -> dict[str, Any]:
    """Return what serves this page."""
    return {
        "name": server_name(request),
        "pid": os.getpid(),
        "python": platform.python_version(),
        "django": django.get_version(),
        "settings": os.environ["DJANGO_SETTINGS_MODULE"],
        "debug": settings.DEBUG,
        "bind": environment()["WEB_BIND"],
        "since": datetime.fromtimestamp(STARTED, UTC),
    }


def links_to_tenants(request: HttpRequest) -> Callable[[str], str]:
    """Return what makes a tenant's address of its host name.

    A browser that came by a name of another machine, as in Codespaces, cannot use the tenants'
    names; it chooses a tenant by cookie. A single tenant is at every name.
    """
    if settings.SINGLE_TENANT:
        return lambda domain: "/"
    host, colon, port = request.get_host().rpartition(":")
    if not colon or not port.isdigit():
        host, port = request.get_host(), ""
    local = {settings.TENANT_BASE_DOMAIN, "127.0.0.1", "[::1]", "localhost"}
    if host in local or host.endswith(f".{settings.TENANT_BASE_DOMAIN}"):
        suffix = f":{port}" if port else ""
        base = f".{settings.TENANT_BASE_DOMAIN}"
        stack = stack_in_host(host)
        own = f".{stack}{base}" if stack else base
        return lambda domain: f"{request.scheme}://{domain.replace(base, own)}{suffix}/"
    return lambda domain: "/choose-tenant/"


def _debugger(said: Mapping[str, Any]) -> tuple[str, str, Debugger]:
    found = Debugger(**said["debugger"])
    return f"worker {said['host']}", found.said, found


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of a list as pages show it."""
    shown = {**entry, "moment": datetime.fromtimestamp(entry["at"], UTC)}
    if "ms" in entry:
        shown["duration"] = charts.duration(entry["ms"])
    if "status" in entry:
        shown["kind"] = charts.kind_of(entry["status"])
    if "state" in entry:
        kinds = {"SUCCESS": "good", "RETRY": "warn"}
        shown["kind"] = kinds.get(entry["state"], "bad")
    shown.setdefault("kind", "bad" if entry.get("failed") else "good")
    return shown
