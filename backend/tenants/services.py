"""What can be done with a tenant: make, list, suspend, resume, export, drop. Runs as app_owner.

Web and worker remember a tenant for `tenants.resolution.CACHE_SECONDS`; until then they do not
notice what was done here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import prefetch_related_objects
from django_tenants.utils import tenant_context

from tenants.archive import check_restorable, restore, write
from tenants.locks import exclusive_lock, retry_locks
from tenants.migration import stamp
from tenants.models import Domain, Tenant
from tenants.provisioning import drop_schema
from tenants.release import release_tenants
from tenants.resolution import CACHE_SECONDS, forget

log = structlog.get_logger(__name__)


class NoSuchTenant(LookupError):
    """There is no tenant of that name."""


def create_tenant(
    name: str, title: str = "", domains: Iterable[str] = (), archive: Path | None = None
) -> tuple[Tenant, bool]:
    """Make a tenant with its domains, role and schema; at once, not at the next release.

    A tenant that exists keeps its title, and gets what it lacks.

    Args:
        name: of the schema, and of the tenant in addresses.
        title: shown to people; the name if empty.
        domains: host names it answers at, besides NAME.base-domain.
        archive: what `export_tenant` wrote, to be loaded into the new tenant.

    Returns:
        The tenant, and whether it is new.

    Raises:
        ValidationError: when the name or a domain cannot be used, or belongs to another tenant;
            or when the product has a single tenant, and it is not this one.
        tenants.archive.NotRestorable: when the archive cannot be loaded; nothing is left.
        tenants.release.ReleaseFailed: when the schema could not be made. Without an archive the
            row is kept, and the next release tries again.
    """
    connection.set_schema_to_public()
    if settings.SINGLE_TENANT not in (None, name):
        raise ValidationError(f"SINGLE_TENANT={settings.SINGLE_TENANT}: no host would be {name}'s")
    if archive:
        check_restorable(archive)
    with exclusive_lock():
        with transaction.atomic():
            tenant = Tenant.objects.filter(schema_name=name).first()
            is_new = tenant is None
            if archive and not is_new:
                raise ValidationError(f"{name} exists; an archive is loaded into a new tenant only")
            if is_new:
                # Suspended until the archive is loaded.
                tenant = Tenant(schema_name=name, name=title or name, is_active=not archive)
                tenant.full_clean()
                tenant.save()
            for host in domains:
                _give_domain(tenant, host)
        if archive:
            _release_from(archive, tenant)
        else:
            release_tenants([tenant])
    forget()
    return tenant, is_new


def _release_from(archive: Path, tenant: Tenant) -> None:
    try:
        release_tenants([tenant])
        restore(tenant, archive)
        tenant.is_active = True
        tenant.save(update_fields=["is_active"])
    except BaseException:  # an interrupt, too
        _remove(tenant)
        raise


def _give_domain(tenant: Tenant, host: str) -> None:
    if tenant.domains.filter(domain=host).exists():
        return
    domain = Domain(tenant=tenant, domain=host, is_primary=not tenant.domains.exists())
    domain.full_clean()
    domain.save()


def get_tenant(name: str) -> Tenant:
    """Return the tenant of this name.

    Raises:
        NoSuchTenant: naming those there are.
    """
    connection.set_schema_to_public()
    tenant = Tenant.objects.filter(schema_name=name).first()
    if tenant is None:
        known = Tenant.objects.values_list("schema_name", flat=True)[:10]
        raise NoSuchTenant(f"there is no tenant {name!r}; there are: {', '.join(known) or 'none'}")
    return tenant


def suspend_tenant(name: str) -> bool:
    """Refuse the tenant's requests from now on; tell whether that is a change.

    Raises:
        NoSuchTenant: when there is none of that name.
    """
    return _set_active(name, False)


def resume_tenant(name: str) -> bool:
    """Answer the tenant's requests again; tell whether that is a change.

    Raises:
        NoSuchTenant: when there is none of that name.
    """
    return _set_active(name, True)


def _set_active(name: str, active: bool) -> bool:
    tenant = get_tenant(name)
    changed = tenant.is_active != active
    if changed:
        tenant.is_active = active
        tenant.save(update_fields=["is_active"])
        forget()
    return changed


# --- list ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """One tenant as `list_tenants` shows it; `size` is its tables' and indexes' in bytes."""

    name: str
    title: str
    identity: str
    state: str
    domains: tuple[str, ...]
    released: str
    size: int


def list_tenants(tenants: Iterable[Tenant] | None = None) -> list[Summary]:
    """Return these tenants, or every one by name.

    The size costs a look at each file of theirs, and there are some 200 of each tenant.
    """
    connection.set_schema_to_public()
    found = list(Tenant.objects.all() if tenants is None else tenants)
    prefetch_related_objects(found, "domains")
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT nspname, sum(pg_total_relation_size(pg_class.oid))
               FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
               WHERE relkind = 'r' AND nspname = ANY (%s) GROUP BY nspname""",
            [[tenant.schema_name for tenant in found]],
        )
        sizes = {name: int(size) for name, size in cursor.fetchall()}
    return [
        Summary(
            name=tenant.schema_name,
            title=tenant.name,
            identity=str(tenant.identity),
            state="active" if tenant.is_active else "suspended",
            domains=_hosts(tenant),
            released=_released(tenant),
            size=sizes.get(tenant.schema_name, 0),
        )
        for tenant in found
    ]


def _hosts(tenant: Tenant) -> tuple[str, ...]:
    if settings.SINGLE_TENANT:
        own = tenant.schema_name == settings.SINGLE_TENANT
        return (settings.TENANT_BASE_DOMAIN,) if own else ()
    host = f"{tenant.schema_name.replace('_', '-')}.{settings.TENANT_BASE_DOMAIN}"
    return (host, *(domain.domain for domain in tenant.domains.all()))


def _released(tenant: Tenant) -> str:
    if not tenant.migrations_stamp:
        return "no"
    return "yes" if tenant.migrations_stamp == stamp() else "behind"


# --- export and drop ----------------------------------------------------------------------


def export_tenant(name: str) -> Path:
    """Write the tenant's rows and files to a new archive in EXPORT_ROOT; return its path.

    Raises:
        NoSuchTenant: when there is none of that name.
        OSError: when it cannot be written.
    """
    tenant = get_tenant(name)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    root = Path(settings.EXPORT_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{name}-{moment}.zip"
    write(tenant, path)
    return path


@dataclass(frozen=True)
class Dropped:
    """What `drop_tenant` did: the archive (None without one), and whether the role is gone."""

    archive: Path | None
    role_dropped: bool


def drop_tenant(name: str, *, export: bool = True) -> Dropped:
    """Export the tenant, then remove its files, schema, role, row, domains and cache entries.

    It is suspended first, and the export waits until every process has noticed: what was written
    until then is in it. When the export fails nothing is dropped, and the tenant stays suspended.
    Files go before what names them: where they cannot be deleted the tenant is still there, and
    can be dropped again.

    Raises:
        NoSuchTenant: when there is none of that name.
        OSError: when the archive cannot be written, or files cannot be read or deleted.
    """
    if suspend_tenant(name) and export:
        log.info("suspended, waiting until every process has noticed", seconds=CACHE_SECONDS)
        time.sleep(CACHE_SECONDS)
    with exclusive_lock():
        tenant = get_tenant(name)
        archive = export_tenant(name) if export and tenant.migrations_stamp else None
        role_dropped = _remove(tenant)
    _forget_cache(name)
    forget()
    log.info("dropped", schema=name, archive=str(archive))
    return Dropped(archive, role_dropped)


def _remove(tenant: Tenant) -> bool:
    """Remove files, schema, role, row and domains; tell whether the role is gone."""
    with tenant_context(tenant):
        default_storage.delete_all()

    def drop() -> bool:
        with transaction.atomic():
            role_dropped = drop_schema(tenant)
            tenant.delete()
        return role_dropped

    return retry_locks(drop, tenant.schema_name)  # requests that began before may hold some


def _forget_cache(name: str) -> None:
    """Delete the tenant's cache entries and sessions: a new tenant may get the same name."""
    client = cache._cache.get_client(write=True)
    keys = client.scan_iter(match=f"{name}:*", count=1000)
    for key in keys:
        client.unlink(key)
