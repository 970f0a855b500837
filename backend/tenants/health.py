"""Readiness: does the database hold what this code's migrations describe, and nothing more?"""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from core.health import register
from tenants.migration import files, migrations_on_disk, stamp, unknown
from tenants.models import Release, Tenant

SHOWN = 5  # of a list in one line


@register("migrations")
def probe_migrations() -> None:
    """Raise what the database lacks, also of files that are newer than this process.

    While the database is ahead, see `probe_unknown_migrations`.
    """
    applied = _applied()
    pending = migrations_on_disk() - applied
    behind = ["public"] if pending or files() - applied else []
    # The last release may be that of newer code or of another branch: public has all that this
    # code needs, so the tenants that were released with it have, too.
    tenants = Tenant.objects.exclude(migrations_stamp=stamp())
    if not pending:
        last = Release.objects.order_by("-released_at").values("stamp")[:1]
        tenants = tenants.exclude(migrations_stamp__in=last)
    behind += tenants.order_by("schema_name").values_list("schema_name", flat=True)[: SHOWN + 1]
    if behind:
        remedy = settings.REMEDIES["migrate"]
        raise RuntimeError(f"migrations are pending in {_listed(behind)}; {remedy}")


# Both optional: the old web goes on serving while a release migrates for the new one.
@register("unknown_migrations", optional=True)
def probe_unknown_migrations() -> None:
    """Raise what the database has that this code lacks."""
    _newer, lacking = _unknown()
    if lacking:
        remedy = settings.REMEDIES["migrations ahead"]
        raise RuntimeError(
            f"the database has migrations that this code lacks: {_named(lacking)}; {remedy}"
        )


@register("code", optional=True)
def probe_code() -> None:
    """Raise what the database has that only this process does not know: its files are newer."""
    newer, _lacking = _unknown()
    if newer:
        raise RuntimeError(
            f"this process is older than {_named(newer)}; {settings.REMEDIES['restart']}"
        )


def _unknown() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return what the database has that this process does not know: with a file, and without."""
    found = unknown(_applied())
    newer = found & files() if found else set()  # usually nothing: no look at the disk
    return newer, found - newer


def _applied() -> set[tuple[str, str]]:
    connection.set_schema_to_public()
    return set(MigrationRecorder(connection).applied_migrations())


def _named(migrations: Iterable[tuple[str, str]]) -> str:
    return _listed(f"{app}.{name}" for app, name in sorted(migrations))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
