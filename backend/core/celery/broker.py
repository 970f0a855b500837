"""This process's client of the broker, for what is kept there beside Celery's messages."""

from __future__ import annotations

from functools import cache

import redis
from django.conf import settings

TIMEOUT = 1  # seconds for a connection, and for each answer


def broker() -> redis.Redis:
    """Return the client. Threads may share it: each uses a connection of its pool."""
    return _client(settings.CELERY_BROKER_URL)


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT)
