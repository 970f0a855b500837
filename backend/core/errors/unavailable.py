"""Errors of a database or a Redis that is down for now: answered 503, not 500.

The client may try again. Logged without a traceback: not an application error.
"""

from __future__ import annotations

import redis
import structlog
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as NotSent

from core.errors.problem_details import Unavailable

DEPENDENCY_ERRORS: dict[str, tuple[type[Exception], ...]] = {
    # Also what the server refuses for now: a full disk, a deadlock, too many connections.
    "database": (OperationalError, InterfaceError),
    # The last one is Celery's, of a task that could not be sent.
    "Redis": (redis.ConnectionError, redis.TimeoutError, redis.OutOfMemoryError, NotSent),
}

# https://www.postgresql.org/docs/18/errcodes-appendix.html
LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"

log = structlog.get_logger(__name__)


def is_lost_connection(error: Exception) -> bool:
    """Tell whether a database error says that the server is away, not that it refused a query."""
    # The server itself says so with a state of class 57P; who cannot reach it has no state.
    state = getattr(error.__cause__, "sqlstate", None)
    return isinstance(error, DEPENDENCY_ERRORS["database"]) and (
        state is None or state.startswith("57P")
    )


def is_lock_failure(error: Exception | None) -> bool:
    """Tell whether a lock was not to be had: within its limit, or in a deadlock with another."""
    state = getattr(getattr(error, "__cause__", None), "sqlstate", None)
    return state in (LOCK_NOT_AVAILABLE, DEADLOCK)


def as_unavailable(error: BaseException | None) -> Unavailable | None:
    """Return what to answer to an error of a dependency, logged; None for any other error."""
    for name, kinds in DEPENDENCY_ERRORS.items():
        if isinstance(error, kinds):
            # The drivers' messages name the host, never the password.
            log.error("outage", of=name, error=f"{type(error).__name__}: {error}".strip())
            return Unavailable("Something this needs is down for now. Try again.")
    return None
