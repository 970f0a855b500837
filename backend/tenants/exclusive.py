"""One at a time: whoever makes, migrates or drops schemas holds the same lock."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from django.db import connection

LOCK = 0x686F6D65  # "home": the number of the advisory lock
MAINTENANCE_DATABASE = "postgres"  # every cluster has it

log = structlog.get_logger(__name__)


@contextmanager
def exclusively() -> Iterator[None]:
    """Hold the advisory lock of releases, waiting for it as long as it takes.

    On a connection of its own: Django's is closed after every migrated schema, and the lock
    would go with it. In the maintenance database, because the tenants' roles belong to the
    whole cluster and advisory locks to one database.

    Raises:
        django.db.Error: when the database does not answer.
    """
    params = connection.get_connection_params() | {"dbname": MAINTENANCE_DATABASE}
    with connection.wrap_database_errors, psycopg.connect(**params, autocommit=True) as own:
        if not own.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
            log.info("waiting for another release")
            own.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield
