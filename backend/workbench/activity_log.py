"""The last things that happened, in capped lists of Redis that every process writes to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import redis
from django.conf import settings

TIMEOUT = 1  # seconds for a connection, and for an answer


def connect() -> redis.Redis:
    """Return a separate client of the cache's Redis: one that hangs must not be shared."""
    return redis.Redis.from_url(
        settings.CACHES["default"]["LOCATION"],
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
    )


def key(name: str) -> str:
    """Return the key of `name`: the test processes that share a Redis each have their own."""
    return f"homeport:workbench:{settings.CACHES['default'].get('KEY_PREFIX', '')}:{name}"


class ActivityLog:
    """The last `length` entries of one kind, each a JSON object with its time as `at`."""

    def __init__(self, name: str, length: int) -> None:
        self.name = name
        self.length = length

    def add(self, client: redis.Redis, entries: Sequence[dict[str, Any]]) -> None:
        """Append entries, in one transaction; `client` may also be a pipeline.

        Raises:
            redis.RedisError: when Redis does not answer.
        """
        client.rpush(key(self.name), *map(json.dumps, entries))
        client.ltrim(key(self.name), -self.length, -1)

    def newest_first(self, client: redis.Redis) -> list[dict[str, Any]]:
        """Return the entries.

        Raises:
            redis.RedisError: when Redis does not answer.
        """
        entries = map(json.loads, client.lrange(key(self.name), 0, -1))
        # Several processes write, each when it gets to it.
        return sorted(entries, key=lambda entry: entry["at"], reverse=True)


REQUESTS = ActivityLog("requests", 200)
TASKS = ActivityLog("tasks", 100)
MAIL = ActivityLog("mail", 50)
