"""What the worker tells the workbench: arguments and result of each task, and its own state.

https://docs.celeryq.dev/en/stable/userguide/signals.html
"""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

import redis
import structlog
from celery import signals
from celery.utils.saferepr import saferepr
from opentelemetry import trace

from core.liveness import HEARTBEAT_INTERVAL, HEARTBEAT_TIME_TO_LIVE
from workbench import debugger
from workbench.activity_log import connect, key

LONGEST_VALUE = 1000  # characters of arguments and of a result

log = structlog.get_logger(__name__)


@signals.task_prerun.connect
def keep_arguments(task: Any, **kwargs: Any) -> None:
    """Keep what a task was called with, as the message describes it: `argsrepr` can hide values."""
    request = task.request
    arguments = {
        "args": request.get("argsrepr") or saferepr(request.args, LONGEST_VALUE),
        "kwargs": request.get("kwargsrepr") or saferepr(request.kwargs, LONGEST_VALUE),
    }
    trace.get_current_span().add_event("arguments", arguments)


@signals.task_success.connect
def keep_result(result: Any, **kwargs: Any) -> None:
    trace.get_current_span().add_event("result", {"result": saferepr(result, LONGEST_VALUE)})


class Report:
    """Says every few seconds how the worker is; `heartbeat_sent` gives the time."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, sender: Any, **kwargs: Any) -> None:
        if time.monotonic() - self.last < HEARTBEAT_INTERVAL - 1:
            return
        self.last = time.monotonic()
        state = {"pid": os.getpid(), "debugger": debugger.own().as_dict(), "at": time.time()}
        try:
            with connect() as client:
                name = key(f"worker:{socket.gethostname()}")
                client.set(name, json.dumps(state), ex=HEARTBEAT_TIME_TO_LIVE)
        except redis.RedisError as error:
            log.warning("worker not noted for the workbench", error=str(error))


report = Report()
signals.heartbeat_sent.connect(report)


def workers(client: redis.Redis) -> list[dict[str, Any]]:
    """Return what each worker last said of itself: host, pid, debugger, at.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    prefix = key("worker:")
    names = sorted(client.scan_iter(match=f"{prefix}*", count=1000))
    said = client.mget(names) if names else []
    return [
        {"host": name.decode().removeprefix(prefix), **json.loads(one)}
        for name, one in zip(names, said, strict=True)
        if one
    ]
