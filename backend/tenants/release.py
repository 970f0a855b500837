"""Bring the database up to this code: once, before web and worker start.

Several containers may start a release at the same time; one of them works, the others wait
for it and find nothing left to do.
"""

from __future__ import annotations

import time

import structlog
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.routers import TenantSyncRouter
from django_tenants.utils import get_public_schema_name

from tenants.extensions import ExtensionUnavailable, make_extensions
from tenants.locks import exclusive_lock, retry_locks
from tenants.migration import faults, migrate, stamp, unknown
from tenants.models import Release, Tenant
from tenants.provisioning import grant_in_public, provision, unprovisioned

# Each costs a connection up to 0.4 MB of memory, and a new connection costs about 10 ms.
TENANTS_A_CONNECTION = 20

log = structlog.get_logger(__name__)


class ReleaseFailed(Exception):
    """Nothing was migrated, or some tenants could not be brought up to date; the text says why."""


def release() -> None:
    """Migrate public, then make and migrate every tenant that is behind, and a single tenant.

    A broken tenant does not keep the others from being migrated.

    Raises:
        ReleaseFailed: at once, when migrations conflict or an extension cannot be made; or at
            the end, naming the tenants that failed.
        django.db.Error: when public itself cannot be migrated.
    """
    _refuse_faults()
    with exclusive_lock():
        started = time.monotonic()
        try:
            make_extensions()
        except ExtensionUnavailable as error:
            raise ReleaseFailed(f"{error}. Nothing was migrated.") from error
        _migrate(get_public_schema_name())
        _forget_what_failed()
        Release.objects.update_or_create(stamp=stamp())
        grant_in_public()
        log.info("released", schema=get_public_schema_name(), seconds=_since(started))
        if name := settings.SINGLE_TENANT:
            title = name.replace("_", " ").title()
            Tenant.objects.get_or_create(schema_name=name, defaults={"name": title})
        _release_all(list(Tenant.objects.all()))


def release_tenants(tenants: list[Tenant]) -> None:
    """Make and migrate those of these tenants that are behind. The caller holds the lock.

    Raises:
        ReleaseFailed: at once, when migrations conflict; or at the end, naming the tenants that
            failed.
    """
    _refuse_faults()
    _release_all(tenants)


def _release_all(tenants: list[Tenant]) -> None:
    incomplete = unprovisioned()
    failed = []
    for number, tenant in enumerate(tenants, start=1):
        if not _release(tenant, complete=tenant.schema_name not in incomplete):
            failed.append(tenant.schema_name)
        if number % TENANTS_A_CONNECTION == 0:
            start_afresh()
    if failed:
        raise ReleaseFailed(f"not released: {', '.join(failed)}. The log above says why.")


def _forget_what_failed() -> None:
    """Forget in public what no file describes any more and no tenant has: a migration that failed.

    Public records every migration, and a tenant's has nothing to do there. One that fails in the
    tenants is corrected by a file of another name.
    """
    connection.set_schema_to_public()
    public = MigrationRecorder(connection)
    in_list = TenantSyncRouter().app_in_list
    found = {
        (app, name)
        for app, name in unknown(public.applied_migrations())
        if not in_list(app, settings.SHARED_APPS)
    }
    for tenant in Tenant.objects.exclude(migrations_stamp="") if found else ():
        connection.set_schema(tenant.schema_name)
        found -= set(MigrationRecorder(connection).applied_migrations())
        if not found:
            break
    connection.set_schema_to_public()
    for app, name in sorted(found):
        public.record_unapplied(app, name)
        log.warning("forgotten: no tenant has it, and no file", migration=f"{app}.{name}")


def _refuse_faults() -> None:
    if found := faults():
        raise ReleaseFailed(found)


def _release(tenant: Tenant, *, complete: bool) -> bool:
    """Make and migrate one tenant; tell whether it is now up to date."""
    started = time.monotonic()
    if complete and tenant.migrations_stamp == stamp():
        log.info("up to date", schema=tenant.schema_name, seconds=0.0)
        return True
    event = "released" if tenant.migrations_stamp else "created"
    try:
        if not complete:
            provision(tenant)
        _migrate(tenant.schema_name)
        tenant.migrations_stamp = stamp()
        Tenant.objects.filter(pk=tenant.pk).update(migrations_stamp=tenant.migrations_stamp)
    except Exception:
        log.exception("release failed", schema=tenant.schema_name, seconds=_since(started))
        start_afresh()
        return False
    finally:
        connection.set_schema_to_public()
    log.info(event, schema=tenant.schema_name, seconds=_since(started))
    return True


def _migrate(schema_name: str) -> None:
    """Migrate one schema; what a locked table interrupts goes on where it was."""
    retry_locks(lambda: migrate(schema_name), schema_name)


def start_afresh() -> None:
    """Drop the connection: it may be broken, and remembers every table it has seen."""
    connection.set_schema_to_public()
    if not connection.in_atomic_block:
        connection.close()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)
