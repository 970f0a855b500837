"""What the worker tells the workbench: each task when it has ended, and its own state.

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
from tenant_schemas_celery.app import get_schema_name_from_task

from core.liveness import HEARTBEAT_INTERVAL, HEARTBEAT_TIME_TO_LIVE
from workbench import debugger
from workbench.activity_log import TASKS, Writer, connect, key

log = structlog.get_logger(__name__)

_began: dict[str, float] = {}

writer = Writer(TASKS.add)


@signals.task_prerun.connect
def note_start(task_id: str, **kwargs: Any) -> None:
    _began[task_id] = time.perf_counter()


@signals.task_postrun.connect
def note_end(task_id: str, task: Any, state: str | None = None, **arguments: Any) -> None:
    began = _began.pop(task_id, None)
    if began is None or task.request.is_eager:
        return
    writer.note(
        {
            "at": time.time(),
            "name": task.name,
            "id": task_id,
            "state": state or "UNKNOWN",
            "ms": round((time.perf_counter() - began) * 1000, 1),
            "attempt": task.request.retries + 1,
            "tenant": get_schema_name_from_task(task, arguments.get("kwargs") or {}) or "",
        }
    )


@signals.worker_process_shutdown.connect
def write_the_last(**kwargs: Any) -> None:
    with connect() as client:
        writer.flush(client)


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
