"""The last tasks that failed, are tried again or were ended: to be looked at and sent again.

They are written when that happens, so a task that succeeds costs nothing. The broker keeps them
with what the queue had: whose task it is, and its arguments as they were sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import redis
import structlog
from celery import signals
from kombu.utils import json

from core.celery.broker import broker
from core.celery.stopped_tasks import as_sent, send_kept

LENGTH = 100  # tasks that are kept; the oldest go
LONGEST = 16_000  # characters of the arguments, and of the traceback's end, that are kept of each
KEPT = "homeport:failed-tasks"  # id of the task: what is known
_WHEN = "homeport:failed-tasks:when"

FAILED, RETRIED, ENDED = "failed", "retried", "ended"

log = structlog.get_logger(__name__)


def failed() -> list[dict[str, Any]]:
    """Return what is kept, the newest first.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    found = [json.loads(one) for one in broker().hvals(KEPT)]
    return sorted(found, key=lambda one: -one["at"])


def forget(task_id: str) -> None:
    """Remove a task. Raises redis.RedisError."""
    with broker().pipeline() as pipe:
        pipe.hdel(KEPT, task_id)
        pipe.zrem(_WHEN, task_id)
        pipe.execute()


def send_again(app: Any, one: Mapping[str, Any]) -> str:
    """Send a kept task to its queue, as its tenant's; return its new id.

    Raises:
        KeyError: when there is no such task in this code.
        ValueError: when its arguments were too long to be kept.
        redis.RedisError: when the broker does not answer.
    """
    if one["args"] is None:
        raise ValueError(f"its arguments were longer than {LONGEST} characters, and are not kept")
    sent = send_kept(app, one)
    forget(one["id"])
    return str(sent.id)


# --- what Celery says -----------------------------------------------------------------------
# https://docs.celeryq.dev/en/stable/userguide/signals.html#task-signals


@signals.task_failure.connect
def keep_failed(sender: Any, task_id: str, exception: Any, einfo: Any, **of: Any) -> None:
    """Keep a task that raised, exceeded its time limit, or whose process died."""
    request = sender.request
    # Celery says a time limit twice, once without the request; and a task that was rejected, which
    # stopped_tasks.py keeps, without one.
    if request.id == task_id and not request.is_eager:
        one = _described(request, FAILED, sender.name)
        _keep(one, of["args"], of["kwargs"], exception, einfo)


@signals.task_retry.connect
def keep_retried(sender: Any, request: Any, reason: Any, einfo: Any, **kwargs: Any) -> None:
    """Keep why a task is tried again, until it succeeds."""
    why = getattr(reason, "exc", None) or reason
    if not request.is_eager:
        one = _described(request, RETRIED, sender.name)
        _keep(one, request.args, request.kwargs, why, einfo)


@signals.task_success.connect
def forget_retried(sender: Any, **kwargs: Any) -> None:
    """Forget a task that succeeded after all."""
    if sender.request.retries and not sender.request.is_eager:
        try:
            forget(sender.request.id)
        except redis.RedisError as error:
            log.warning("retried task not forgotten", task=sender.name, error=str(error))


@signals.task_revoked.connect
def keep_ended(sender: Any, request: Any, terminated: bool, **kwargs: Any) -> None:
    """Keep a task that somebody ended while it ran."""
    if terminated:
        one = _described(request, ENDED, sender.name)
        _keep(one, request.args, request.kwargs, "ended on request", None)


def _described(request: Any, state: str, name: str) -> dict[str, Any]:
    return {
        "id": request.id,
        "task": name,
        "state": state,
        **as_sent(request),
        "retries": request.retries or 0,
    }


def _keep(one: dict[str, Any], args: Any, kwargs: Any, why: Any, einfo: Any) -> None:
    error = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
    try:
        if len(json.dumps([args, kwargs])) > LONGEST:
            args = kwargs = None
        entry = {
            **one, "args": args, "kwargs": kwargs,
            "at": time.time(), "error": error[:1000], "traceback": _traceback(einfo),
        }  # fmt: skip
        with broker().pipeline() as pipe:
            pipe.hset(KEPT, one["id"], json.dumps(entry))
            pipe.zadd(_WHEN, {one["id"]: entry["at"]})
            pipe.zrange(_WHEN, 0, -LENGTH - 1)
            for task_id in pipe.execute()[-1]:
                forget(task_id.decode())
    except (redis.RedisError, TypeError) as failure:
        log.warning("failed task not kept", task=one["task"], error=str(failure))


def _traceback(einfo: Any) -> str:
    return str(getattr(einfo, "traceback", None) or "")[-LONGEST:]
