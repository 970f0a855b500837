"""Notes each request for the workbench, without making it wait for anything."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import redis
from django.http import HttpRequest, HttpResponse

from workbench.activity_log import REQUESTS, connect, key

BUCKET = 10  # seconds whose requests are counted together
BUCKETS = 30  # how many of those are kept
FLUSH_INTERVAL = 0.2  # seconds in which requests gather before they are written together

# What would drown the rest: probes, assets, and the workbench's own questions.
LEFT_OUT = ("/api/v1/health/", "/static/", "/workbench/", "/__debug__/")


class ActivityMiddleware:
    """Outermost, so that the time it notes is the whole of it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        if request.path != "/" and not request.path.startswith(LEFT_OUT):
            tenant = getattr(request, "tenant", None)
            writer.note(
                {
                    "at": time.time(),
                    "method": request.method,
                    "path": request.path[:200],
                    "status": response.status_code,
                    "ms": round((time.perf_counter() - began) * 1000, 1),
                    "tenant": tenant.schema_name if tenant else "",
                }
            )
        return response


class Writer:
    """Writes entries from a separate thread; without Redis it drops them."""

    def __init__(self) -> None:
        self._waiting: deque[dict[str, Any]] = deque(maxlen=1000)
        self._something = threading.Event()
        self._process = 0
        self._lock = threading.Lock()

    def note(self, entry: dict[str, Any]) -> None:
        self._waiting.append(entry)
        self._something.set()
        if self._process != os.getpid():  # Gunicorn forks, and threads are not taken along
            self._start()

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
            entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                write(client, entries)
            except redis.RedisError:
                continue  # the workbench says that Redis is down; requests go on


writer = Writer()


def write(client: redis.Redis, entries: list[dict[str, Any]]) -> None:
    """Add requests to the activity log and to the counters of their time.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    if not entries:
        return
    with client.pipeline() as pipe:
        REQUESTS.add(pipe, entries)
        counted = Counter((int(e["at"]) // BUCKET, e["status"] // 100) for e in entries)
        for (bucket, kind), number in counted.items():
            pipe.hincrby(key(f"requests:{bucket}"), f"{kind}xx", number)
            pipe.expire(key(f"requests:{bucket}"), BUCKET * (BUCKETS + 2))
        pipe.execute()


def counts(client: redis.Redis, now: float) -> list[dict[str, int]]:
    """Return how many requests got which kind of status ("2xx"), for each bucket, oldest first.

    Args:
        now: seconds since the epoch; its bucket is the last.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    newest = int(now) // BUCKET
    with client.pipeline(transaction=False) as pipe:
        for bucket in range(newest - BUCKETS + 1, newest + 1):
            pipe.hgetall(key(f"requests:{bucket}"))
        found = pipe.execute()
    return [{kind.decode(): int(number) for kind, number in one.items()} for one in found]
