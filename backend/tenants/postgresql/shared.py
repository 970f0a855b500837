"""Connections that the threads of a process take in turns, where threads do not last.

Under ASGI Django gives each request a thread, which ends with it. With that thread's own connection
every request would make one, and there would be as many as requests at once. psycopg's pool does
not say why the database refuses, and takes a round trip to see whether a connection is alive:
the next request's entry into its tenant shows that here (tenants/postgresql/base.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any
from weakref import WeakSet

from psycopg import OperationalError
from psycopg.pq import TransactionStatus

WAIT = 30  # seconds for a connection that others use


class Place:
    """The right to one connection; it ends with the thread that did not give it back."""


_lock = threading.Lock()
_places: WeakSet[Place] = WeakSet()
_waiting: deque[Future[Place]] = deque()
_kept: deque[tuple[Any, float]] = deque()  # connections, and until when each is good


def take(most: int) -> Place:
    """Return the right to a connection, of which this process has `most`; first come, first served.

    Raises:
        OperationalError: when others have used all of them for WAIT seconds.
    """
    with _lock:
        if len(_places) < most:
            _places.add(place := Place())
            return place
        turn: Future[Place] = Future()
        _waiting.append(turn)
    try:
        return turn.result(WAIT)
    except FutureTimeout:
        if turn.cancel():
            message = f"all {most} connections of this process are in use"
            raise OperationalError(message) from None
        return turn.result()


def kept() -> tuple[Any, float] | None:
    """Return a connection that was given back, and until when it is good; None if there is none."""
    while _kept:
        try:
            connection, until = _kept.pop()
        except IndexError:  # another thread was quicker
            return None
        if time.monotonic() < until and not connection.closed:
            return connection, until
        connection.close()
    return None


def keep(connection: Any, until: float) -> None:
    """Keep a connection for others, unless it is within a transaction or broken."""
    if connection.closed or connection.pgconn.transaction_status != TransactionStatus.IDLE:
        connection.close()
    else:
        _kept.append((connection, until))


def give_back(place: Place) -> None:
    """Give the right to a connection to the thread that has waited longest, if one waits."""
    with _lock:
        while _waiting:
            turn = _waiting.popleft()
            if turn.set_running_or_notify_cancel():
                turn.set_result(place)
                return
        _places.discard(place)
