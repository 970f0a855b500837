"""What the broker holds: messages that wait in the queue, and those that workers have taken.

https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from kombu.utils import json

from core.celery.broker import broker
from core.celery.requeue import TAKEN, WHEN_TAKEN


def waiting(limit: int) -> list[dict[str, Any]]:
    """Return the first tasks of the queue, the next one first.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    found = broker().lrange(settings.CELERY_TASK_DEFAULT_QUEUE, -limit, -1)
    return [_described(json.loads(one)) for one in reversed(found)]


def count_waiting() -> int:
    """Return how many tasks wait in the queue. Raises redis.RedisError."""
    return int(broker().llen(settings.CELERY_TASK_DEFAULT_QUEUE))


def taken() -> Iterator[dict[str, Any]]:
    """Yield the tasks that workers have: they run, or wait for their time.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    client = broker()
    for index in client.scan_iter(match=f"{WHEN_TAKEN}*", count=1000):
        messages = client.hscan_iter(TAKEN + index.decode().removeprefix(WHEN_TAKEN))
        for _tag, message in messages:
            yield _described(json.loads(message)[0])


def _described(message: dict[str, Any]) -> dict[str, Any]:
    headers = message.get("headers", {})
    try:
        args, kwargs, _embedded = json.loads(base64.b64decode(message["body"]))
    except (KeyError, TypeError, ValueError):  # not of Celery, or not of this version
        args, kwargs = [], {}
    return {
        "id": headers.get("id", ""),
        "task": headers.get("task", "unknown"),
        "args": args,
        "kwargs": kwargs,
        "headers": {key: value for key, value in headers.items() if key.startswith("_")},
        "queue": message.get("properties", {}).get("delivery_info", {}).get("routing_key"),
        "retries": headers.get("retries") or 0,
        "eta": headers.get("eta"),
    }
