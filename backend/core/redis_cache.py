"""Django's cache in Redis, with one client for each server in a process.

Django makes one for each call, which costs as much as the call: it copies a table of commands.
And it keeps connections for each thread, which are closed at some time after the thread has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.core.cache.backends import redis


class Client(redis.RedisCacheClient):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Called with the pool of the server; threads may share a client.
        self._client = cache(self._client)  # type: ignore[has-type]


_client = cache(Client)


class RedisCache(redis.RedisCache):
    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = self._shared

    @staticmethod
    def _shared(servers: Sequence[str], **options: Any) -> Client:
        return _client(tuple(servers), **options)
