"""The last things that happened, in capped lists of Redis that every process writes to."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import redis
from django.conf import settings

T = TypeVar("T")

TIMEOUT = 1  # seconds for a connection, and for an answer
FLUSH_INTERVAL = 0.2  # seconds in which entries gather before they are written together
WAITING = 5000  # entries that wait to be written


def connect() -> redis.Redis:
    """Return a separate client of the cache's Redis: one that hangs must not be shared."""
    return redis.Redis.from_url(
        settings.CACHES["default"]["LOCATION"],
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
    )


def key(name: str) -> str:
    """Return the key of `name`: the test processes that share a Redis each have their own."""
    process = settings.CACHES["default"].get("KEY_PREFIX", "")
    return f"homeport:workbench:{process}:{name}"


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


class Writer(Generic[T]):
    """Writes entries from a separate thread, with `write`; without Redis it drops them.

    It also drops the oldest of more than `WAITING`.
    """

    def __init__(self, write: Callable[[redis.Redis, Sequence[T]], None]) -> None:
        self._write = write
        self._waiting: deque[T] = deque(maxlen=WAITING)
        self._something = threading.Event()
        self._process = 0
        self._lock = threading.Lock()

    def note(self, entry: T) -> None:
        self._waiting.append(entry)
        if not self._something.is_set():
            self._something.set()
        if self._process != os.getpid():  # Gunicorn and Celery fork: threads are not taken along
            self._start()

    def flush(self, client: redis.Redis) -> None:
        """Write what waits."""
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if entries:
            try:
                self._write(client, entries)
            except redis.RedisError:
                return  # the workbench says that Redis is down; requests and tasks go on

    def _start(self) -> None:
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._run, name="activity-log", daemon=True).start()

    def _run(self) -> None:
        client = connect()
        while True:
            self._something.wait()
            time.sleep(FLUSH_INTERVAL)
            self._something.clear()
            self.flush(client)


REQUESTS = ActivityLog("requests", 200)
TASKS = ActivityLog("tasks", 100)
COMMANDS = ActivityLog("commands", 20)
MAIL = ActivityLog("mail", 50)
