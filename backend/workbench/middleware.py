"""Notes each request for the workbench, without making it wait for anything."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import redis
from django.http import HttpRequest, HttpResponse

from workbench.activity_log import REQUESTS, Writer, key

BUCKET = 10  # seconds whose requests are counted together
BUCKETS = 30  # how many of those are kept

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


def write(client: redis.Redis, entries: Sequence[dict[str, Any]]) -> None:
    """Add requests to the activity log and to the counters of their time.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    with client.pipeline() as pipe:
        REQUESTS.add(pipe, entries)
        counted = Counter((int(e["at"]) // BUCKET, e["status"] // 100) for e in entries)
        for (bucket, kind), number in counted.items():
            pipe.hincrby(key(f"requests:{bucket}"), f"{kind}xx", number)
            pipe.expire(key(f"requests:{bucket}"), BUCKET * (BUCKETS + 2))
        pipe.execute()


writer = Writer(write)


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
