"""One lock for all that create, migrate or drop schemas."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
import structlog
from django.db import OperationalError, connection

from core.errors.unavailable import is_lock_failure

LOCK = 0x686F6D65  # "home": the number of the advisory lock
MAINTENANCE_DATABASE = "postgres"  # every cluster has it
# How often a release tries to lock the tables of one schema, and its pause, in seconds, after the
# first time; then twice as long each time. In the pauses, queries that waited behind it run.
LOCK_TRIES = 6
LOCK_PAUSE = 1.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


@contextmanager
def exclusive_lock() -> Iterator[None]:
    """Hold the advisory lock of releases, waiting for it as long as it takes.

    On a separate connection: Django's is closed after every migrated schema, and the lock
    would go with it. In the maintenance database, because the tenants' roles belong to the
    whole cluster and advisory locks to one database.

    Raises:
        django.db.Error: when the database does not answer.
    """
    # Without the limits of sessions: another release may take hours.
    params = connection.get_connection_params()
    params |= {"dbname": MAINTENANCE_DATABASE, "options": ""}
    with connection.wrap_database_errors, psycopg.connect(**params, autocommit=True) as own:
        [(locked,)] = own.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchall()
        if not locked:
            log.info("waiting for another release")
            own.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield


def retry_locks(work: Callable[[], T], schema_name: str) -> T:
    """Do `work`, and again when it was given up because a lock was not to be had in time.

    Raises:
        django.db.OperationalError: when the last try failed by a lock, too.
    """
    left, pause = LOCK_TRIES - 1, LOCK_PAUSE
    while True:
        try:
            return work()
        except OperationalError as error:
            if not (left and is_lock_failure(error)):
                raise
            log.warning("waiting for a lock", schema=schema_name, tries_left=left, pause=pause)
            time.sleep(pause)
            left, pause = left - 1, pause * 2
