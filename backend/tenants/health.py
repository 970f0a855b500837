"""Readiness: does the database hold what this code's migrations describe?"""

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from core.health import register
from tenants.migration import migrations_on_disk, stamp
from tenants.models import Tenant


@register("migrations")
def probe_migrations() -> None:
    connection.set_schema_to_public()
    applied = set(MigrationRecorder(connection).applied_migrations())
    behind = ["public"] if migrations_on_disk() - applied else []
    behind += (
        Tenant.objects.exclude(migrations_stamp=stamp())
        .order_by("schema_name")
        .values_list("schema_name", flat=True)
    )
    if behind:
        shown = ", ".join(behind[:5]) + (" …" if len(behind) > 5 else "")
        raise RuntimeError(f"migrations are pending in {shown}; run: ./dev migrate")
