"""Readiness: does the database hold what this code's migrations describe, and nothing more?"""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from core.health import register
from tenants.migration import files_of, migrations_on_disk, stamp, unknown
from tenants.models import Release, Tenant

SHOWN = 5  # of a list in one line


@register("migrations")
def probe_migrations() -> None:
    """Raise what the database lacks. While it is ahead, see `probe_unknown_migrations`."""
    connection.set_schema_to_public()
    applied = set(MigrationRecorder(connection).applied_migrations())
    pending = migrations_on_disk() - applied
    behind = ["public"] if pending else []
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


# Optional: the old web goes on serving while a release migrates for the new one.
@register("unknown_migrations", optional=True)
def probe_unknown_migrations() -> None:
    """Raise what the database has that this process does not know."""
    connection.set_schema_to_public()
    found = unknown(MigrationRecorder(connection).applied_migrations())
    if not found:
        return
    names = _listed(f"{app}.{name}" for app, name in sorted(found))
    if found <= files_of(app for app, _name in found):
        raise RuntimeError(f"this process is older than {names}; {settings.REMEDIES['restart']}")
    remedy = settings.REMEDIES["migrations ahead"]
    raise RuntimeError(f"the database has migrations that this code lacks: {names}; {remedy}")


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
