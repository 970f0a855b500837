"""This process's client of the broker, for what is kept there beside Celery's messages."""

from __future__ import annotations

from functools import cache

import redis
from django.conf import settings

from core.redis_pool import Pool

CONNECT_TIMEOUT = 1  # seconds
# Seconds for each answer. Redis waits up to 2 s for a busy disk before it takes a change, and what
# is told here is told once: that a task failed, ended its process or was sent by a schedule.
# https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency/
TIMEOUT = 5


def broker() -> redis.Redis:
    """Return the client. Threads may share it: each uses a connection of its pool."""
    return _client(settings.CELERY_BROKER_URL)


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_pool(
        Pool.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT, socket_timeout=TIMEOUT)
    )
