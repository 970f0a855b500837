"""What runs in the background: schedules, and tasks that wait, run, are tried again or have failed.

For the command `tasks` and the workbench. Arguments are shown without secrets.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.conf import settings
from django_tenants.utils import get_public_schema_name

from core.celery import failed_tasks, queue, stopped_tasks
from core.celery.application import app, registered_tasks
from core.celery.beat import Scheduler, read_last
from core.celery.requeue import count_taken, living_workers
from core.redaction import SafeReporterFilter

SHOWN = 50  # waiting tasks at most; there may be any number
READ = 1000  # of those that workers have, at most: there may be any number with a countdown
ANSWER_TIMEOUT = 1  # seconds for the workers' answers
END_TIMEOUT = 5  # seconds until a task that was told to end is gone
STOPPED = "stopped"  # it ended its process too often: stopped_tasks.py

_filter = SafeReporterFilter()


class TaskError(Exception):
    """What was asked for is not possible; the message is for the person who asked."""


def read() -> dict[str, Any]:
    """Return everything, ready for JSON.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    workers = living_workers()
    active = _active(len(workers))
    taken = {one["id"]: one for one in islice(queue.taken(), READ)}
    running = [_shown({**taken.get(one["id"], {}), **one}) for one in active.values()]
    rest = [_shown(one) for one in taken.values() if one["id"] not in active]
    kept = [*map(_shown, failed_tasks.failed()), *map(_shown, _stopped())]
    return {
        "schedules": schedules(),
        "workers": workers,
        "running": sorted(running, key=lambda one: one["since"] or ""),
        "waiting": {
            "number": queue.count_waiting() + max(len(rest), count_taken() - len(running)),
            "first": [*map(_shown, queue.waiting(SHOWN)), *rest][:SHOWN],
        },
        "retried": [one for one in kept if one["state"] == failed_tasks.RETRIED],
        "failed": [one for one in kept if one["state"] != failed_tasks.RETRIED],
    }


def schedules() -> list[dict[str, Any]]:
    """Return the schedules with their last and next time. Raises redis.RedisError."""
    entries = sorted(Scheduler(app).schedule.values(), key=lambda entry: entry.name)
    found = []
    for entry, last in zip(entries, read_last(entries), strict=True):
        entry.take(last)
        found.append({
            "name": entry.name,
            "task": entry.task,
            "times": _times(str(entry.schedule)),
            "tenants": _recipients(entry.tenant_schemas),
            "last": entry.last_time,
            "next": entry.next_time().astimezone(UTC).isoformat(timespec="seconds"),
        })  # fmt: skip
    return found


def _times(schedule: str) -> str:
    """Return Celery's description of a schedule without what is the same in all."""
    words = schedule.strip("<>").removesuffix(" (m/h/dM/MY/d)").removeprefix("crontab: ")
    return words.replace("freq: ", "every ")


def _recipients(schemas: Iterable[str] | None) -> str:
    if schemas is None:
        return "each"
    names = ["none" if name == get_public_schema_name() else name for name in schemas]
    return ", ".join(names)


def _active(workers: int) -> dict[str, dict[str, Any]]:
    """Return what the workers say that they run, by id."""
    if not workers:
        return {}
    said = app.control.inspect(timeout=ANSWER_TIMEOUT, limit=workers).active() or {}
    return {
        one["id"]: {
            "id": one["id"], "task": one["name"], "args": one["args"], "kwargs": one["kwargs"],
            "at": one["time_start"] or None, "worker": worker, "state": "running",
        }
        for worker, tasks in said.items() for one in tasks
    }  # fmt: skip


def _stopped() -> Iterable[dict[str, Any]]:
    for task_id, one in stopped_tasks.kept().items():
        error = f"it ended its process {stopped_tasks.TRIES} times"
        yield {**one, "id": task_id, "state": STOPPED, "at": one["stopped_at"], "error": error}


def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of a task."""
    headers = one.get("headers") or {}
    at = one.get("at")
    return {
        "id": one["id"],
        "task": one["task"],
        "tenant": headers.get("_schema_name", ""),
        "state": one.get("state", "waiting"),
        "attempt": one.get("retries", 0) + 1,
        "since": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None,
        "until": one.get("eta"),
        "worker": one.get("worker", ""),
        "arguments": _arguments(one),
        "error": _filter.cleanse_setting("", one.get("error", "")),
        "traceback": _filter.cleanse_setting("", one.get("traceback", "")),
    }


def _arguments(one: Mapping[str, Any]) -> str:
    """Return the arguments as they would be written, those with the name of a secret masked."""
    if one["args"] is None:
        return "too long to be kept"
    args, kwargs = list(one["args"]), dict(one["kwargs"])
    named = _names(one["task"], len(args))
    mask = _filter.cleanse_setting
    parts = [repr(mask(name, value)) for name, value in zip(named, args, strict=True)]
    parts += [f"{name}={mask(name, value)!r}" for name, value in kwargs.items()]
    return ", ".join(parts)[: failed_tasks.LONGEST]


def _names(task: str, number: int) -> list[str]:
    """Return the names of a task's first arguments; "" for those that it does not name.

    What this code no longer has may have been a secret.
    """
    found = registered_tasks().get(task)
    if found is None:
        return ["secret"] * number
    return [*inspect.signature(found.run).parameters, *[""] * number][:number]


# --- acting ---------------------------------------------------------------------------------


def find(task_id: str) -> dict[str, Any]:
    """Return what is shown of a task.

    Raises:
        TaskError: when none of this id is known.
        redis.RedisError: when the broker does not answer.
    """
    found = read()
    tasks = [*found["running"], *found["waiting"]["first"], *found["retried"], *found["failed"]]
    for one in tasks:
        if one["id"] == task_id:
            return one
    raise TaskError(f"no task {task_id!r}; without it they are listed")


def send_again(task_id: str) -> str:
    """Send a failed, stopped or ended task again, as its tenant's; return its id.

    Raises:
        TaskError: when it cannot be.
        redis.RedisError: when the broker does not answer.
    """
    try:
        registered_tasks()  # which only a worker has loaded by itself
        if task_id in stopped_tasks.kept():
            stopped_tasks.send_again(app, task_id)
            return task_id
        return failed_tasks.send_again(app, _kept(task_id))
    except KeyError as error:
        raise TaskError(f"this code has no task {error}") from error
    except (TypeError, ValueError) as error:  # also of arguments that the task no longer takes
        raise TaskError(str(error)) from error


def forget(task_id: str) -> None:
    """Remove a failed, stopped or ended task, which is then lost; raises as `send_again`."""
    if task_id in stopped_tasks.kept():
        stopped_tasks.forget(task_id)
    else:
        failed_tasks.forget(_kept(task_id)["id"])


def _kept(task_id: str) -> dict[str, Any]:
    for one in failed_tasks.failed():
        if one["id"] == task_id and one["state"] != failed_tasks.RETRIED:
            return one
    raise TaskError(f"no failed task {task_id!r}; without options they are listed")


def end(task_id: str, wait: Callable[[float], None] = time.sleep) -> None:
    """End a running task by ending its process, which is replaced; it does not run again.

    Raises:
        TaskError: when it does not run, or does not end.
        redis.RedisError: when the broker does not answer.
    """
    workers = len(living_workers())
    if task_id not in _active(workers):
        raise TaskError(f"no task {task_id!r} runs; without options they are listed")
    app.control.revoke(task_id, terminate=True)
    deadline = time.monotonic() + END_TIMEOUT
    while task_id in _active(workers):
        if time.monotonic() > deadline:
            raise TaskError(
                f"{task_id} still runs: a task under a debugger is a thread, and cannot be ended; "
                f"{settings.REMEDIES['restart']}"
            )
        wait(0.1)
