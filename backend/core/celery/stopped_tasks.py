"""Tasks that end the process they run in: stopped after a few tries, and kept to be looked at.

A process that ends (no memory left, a crash in a library) cannot count its own end. But its task
comes back to the queue. So each start of a task that came back is counted in the broker, and the
count is removed when the task has ended in any way that left its process alive. What a worker gave
back for another reason has one try less. `manage.py tasks` lists, sends again and forgets.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import redis
import structlog
from django.conf import settings
from kombu.utils import json

from core.celery.broker import broker

TRIES = 3  # times that a task may end its process
KEPT = "homeport:stopped-tasks"  # id of the task: what to send again
_STARTED = "homeport:started:"
_REMEMBERED = 86400  # seconds that a start without an end is counted

log = structlog.get_logger(__name__)


@contextmanager
def counted(
    name: str, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[bool]:
    """Count this start of a task that came back until its end; yield whether it may run.

    A task that may not was kept instead. Without the broker nothing is counted, and all may run.
    """
    if not (request.delivery_info or {}).get("redelivered"):
        yield True
        return
    key = _STARTED + request.id
    try:
        allowed = _count(key, name, request, args, kwargs)
    except redis.RedisError as error:
        log.warning("start of a task not counted", task=name, error=str(error))
        allowed = True
    try:
        yield allowed
    finally:
        try:
            broker().delete(key)
        except redis.RedisError as error:
            log.warning("end of a task not counted", task=name, error=str(error))


def _count(
    key: str, name: str, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    with broker().pipeline() as pipe:
        pipe.incr(key)
        pipe.expire(key, _REMEMBERED)
        came_back, _ = pipe.execute()
    if came_back < TRIES:
        return True
    kept = {
        "task": name,
        "args": args,
        "kwargs": kwargs,
        **as_sent(request),
        "stopped_at": time.time(),
    }
    broker().hset(KEPT, request.id, json.dumps(kept))
    log.error("task stopped: it ended its process too often", task=name, id=request.id, tries=TRIES,
              remedy=remedy())  # fmt: skip
    return False


def as_sent(request: Any) -> dict[str, Any]:
    """Return what `send_kept` needs of a task's message: whose task it is, and its queue.

    Celery makes attributes of headers; its own have other names, or are no texts.
    """
    headers = {
        name: value
        for name, value in vars(request).items()
        if name.startswith("_") and isinstance(value, str)
    }
    return {"headers": headers, "queue": (request.delivery_info or {}).get("routing_key")}


def send_kept(app: Any, one: Mapping[str, Any], task_id: str | None = None) -> Any:
    """Send a kept task to its queue, as its tenant's; return its result.

    Raises:
        KeyError: when there is no such task in this code.
    """
    return app.tasks[one["task"]].apply_async(
        one["args"],
        one["kwargs"],
        task_id=task_id,
        headers=one["headers"],
        queue=one.get("queue"),  # a task that an earlier release kept has none
    )


def remedy() -> str:
    """Return the command that lists the stopped tasks."""
    return f"{settings.REMEDIES['manage']} tasks"


def kept() -> dict[str, dict[str, Any]]:
    """Return what is kept of each stopped task, by id, the oldest first.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    stored = cast("dict[bytes, bytes]", broker().hgetall(KEPT))
    found = {key.decode(): json.loads(value) for key, value in stored.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]["stopped_at"]))


def send_again(app: Any, task_id: str) -> None:
    """Send a stopped task to its queue, with as many tries as a new one.

    Raises:
        KeyError: when there is none of this id, or no such task in this code.
        redis.RedisError: when the broker does not answer.
    """
    send_kept(app, kept()[task_id], task_id)
    forget(task_id)


def forget(task_id: str) -> None:
    """Remove a stopped task, which is then lost. Raises redis.RedisError."""
    broker().hdel(KEPT, task_id)
