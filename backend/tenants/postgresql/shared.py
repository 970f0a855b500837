"""Connections that the threads of a process take in turns, where threads do not last.

Under ASGI Django gives each request a thread, which ends with it. With that thread's own connection
every request would make one, and there would be as many as requests at once. psycopg's pool does
not say why the database refuses, and takes a round trip to see whether a connection is alive:
the next request's entry into its tenant shows that here (tenants/postgresql/base.py).
"""

from __future__ import annotations

import threading
import time
from typing import Any
from weakref import WeakSet

from psycopg import OperationalError
from psycopg.pq import TransactionStatus

WAIT = 10  # seconds for a connection that others use


class Place:
    """The right to one connection; it ends with the thread that did not give it back."""


_changed = threading.Condition()
_places: WeakSet[Place] = WeakSet()
_kept: list[tuple[Any, float]] = []  # connections, and until when each is good


def take(most: int) -> Place:
    """Return the right to a connection, of which this process has `most`.

    Raises:
        OperationalError: when others have used all of them for WAIT seconds.
    """
    with _changed:
        if not _changed.wait_for(lambda: len(_places) < most, WAIT):
            raise OperationalError(f"all {most} connections of this process are in use")
        _places.add(place := Place())
        return place


def kept() -> tuple[Any, float] | None:
    """Return a connection that was given back, and until when it is good; None if there is none."""
    with _changed:
        while _kept:
            connection, until = _kept.pop()
            if time.monotonic() < until and not connection.closed:
                return connection, until
            connection.close()
        return None


def give_back(place: Place, connection: Any, until: float) -> None:
    """Keep a connection for others, unless it is within a transaction or broken."""
    if connection.closed or connection.pgconn.transaction_status != TransactionStatus.IDLE:
        connection.close()
    with _changed:
        _places.discard(place)
        if not connection.closed:
            _kept.append((connection, until))
        _changed.notify()
