"""Bring the database up to this code: once, before web and worker start.

Several containers may start a release at the same time; one of them works, the others wait
for it and find nothing left to do.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
import structlog
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django_tenants.utils import get_public_schema_name, schema_exists

from tenants.models import Tenant
from tenants.names import role_of

LOCK = 0x686F6D65  # "home": the number of the advisory lock
MAINTENANCE_DATABASE = "postgres"  # every cluster has it
APPLICATION_ROLE = "app"

log = structlog.get_logger(__name__)


class ReleaseFailed(Exception):
    """Some tenants could not be brought up to date; the text names them."""


def release() -> None:
    """Migrate public, then make and migrate every tenant that is behind.

    A broken tenant does not keep the others from being migrated.

    Raises:
        ReleaseFailed: at the end, naming the tenants that failed.
        django.db.Error: when public itself cannot be migrated.
    """
    with _exclusively():
        started = time.monotonic()
        _migrate(get_public_schema_name())
        log.info("released", schema=get_public_schema_name(), seconds=_since(started))
        failed = [tenant.schema_name for tenant in Tenant.objects.all() if not _release(tenant)]
    if failed:
        raise ReleaseFailed(f"not released: {', '.join(failed)}. The log above says why.")


def _release(tenant: Tenant) -> bool:
    """Make and migrate one tenant; tell whether it is now up to date."""
    started = time.monotonic()
    exists = schema_exists(tenant.schema_name)
    if exists and tenant.migrations_stamp == stamp():
        log.info("up to date", schema=tenant.schema_name)
        return True
    try:
        provision(tenant)
        _migrate(tenant.schema_name)
        Tenant.objects.filter(pk=tenant.pk).update(migrations_stamp=stamp())
    except Exception:
        connection.set_schema_to_public()
        log.exception("release failed", schema=tenant.schema_name)
        return False
    event = "released" if exists else "created"
    log.info(event, schema=tenant.schema_name, seconds=_since(started))
    return True


def provision(tenant: Tenant) -> None:
    """Make the tenant's role and schema where they are missing. Runs as app_owner.

    The grants are written out because since PostgreSQL 16 making a role gives no right to
    become it: https://www.postgresql.org/docs/current/role-attributes.html
    """
    name = connection.ops.quote_name
    role, schema = name(role_of(tenant.schema_name)), name(tenant.schema_name)
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role_of(tenant.schema_name)])
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE ROLE {role} NOLOGIN")
        cursor.execute(f"GRANT {role} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION_ROLE])
        if cursor.fetchone() is not None:
            cursor.execute(f"GRANT {role} TO {APPLICATION_ROLE} WITH INHERIT FALSE, SET TRUE")
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role}")


# --- migrations ---------------------------------------------------------------------------


@cache
def migrations_on_disk() -> frozenset[tuple[str, str]]:
    """Return (app label, migration name) of every migration of the installed apps.

    Each schema records all of them, also those that have nothing to do there.
    """
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def stamp() -> str:
    """Return a digest of every migration on disk.

    A tenant that carries it is up to date; asking its schema would cost 20 ms to 200 ms.
    """
    names = "\n".join(f"{app}.{name}" for app, name in sorted(migrations_on_disk()))
    return hashlib.sha256(names.encode()).hexdigest()


def _migrate(schema_name: str) -> None:
    call_command("migrate_schemas", schema_name=schema_name, interactive=False, verbosity=0)


# --- one at a time ------------------------------------------------------------------------


@contextmanager
def _exclusively() -> Iterator[None]:
    """Hold the advisory lock of releases, waiting for it as long as it takes.

    On a connection of its own: migrating closes Django's after every schema, and the lock
    would go with it. In the maintenance database, because the tenants' roles belong to the
    whole cluster and advisory locks to one database.
    """
    params = connection.get_connection_params() | {"dbname": MAINTENANCE_DATABASE}
    with connection.wrap_database_errors, psycopg.connect(**params, autocommit=True) as own:
        if not own.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
            log.info("waiting for another release")
            own.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)
