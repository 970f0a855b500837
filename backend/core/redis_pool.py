"""Connections to Redis that never give an answer to the wrong command."""

from __future__ import annotations

import sys
from typing import Any

import redis


class Pool(redis.ConnectionPool):
    """Closes a connection whose use ended with an exception.

    A time limit of Celery may interrupt a command between its sending and its answer. The next
    command, of another tenant's task, would be given that answer, and each one after it the one
    before. The library closes only what it interrupts itself.
    """

    def release(self, connection: Any) -> None:
        if sys.exc_info()[0] is not None:
            connection.disconnect()
        super().release(connection)
