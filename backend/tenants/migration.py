"""Migrating one schema, and telling whether it needs it."""

from __future__ import annotations

import hashlib
from functools import cache

from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader


@cache
def migrations_on_disk() -> frozenset[tuple[str, str]]:
    """Return (app label, migration name) of every migration of the installed apps.

    Each schema records all of them, also those that have nothing to do there.
    """
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


@cache
def stamp() -> str:
    """Return a digest of every migration on disk.

    A tenant that carries it is up to date; asking its schema would cost 20 ms to 200 ms.
    """
    names = "\n".join(f"{app}.{name}" for app, name in sorted(migrations_on_disk()))
    return hashlib.sha256(names.encode()).hexdigest()


def migrate(schema_name: str) -> None:
    """Apply every migration that the schema lacks, as the role that owns it.

    What `manage.py migrate` does, without what it spends on its output. django-tenants' own
    command adds a connection, a start of Django's checks and two more looks at the catalog.

    Raises:
        django.db.Error: when a migration fails. Those before it stay applied.
        InconsistentMigrationHistory: when a migration was applied before one it needs.
    """
    connection.set_schema(schema_name)
    executor = MigrationExecutor(connection)
    executor.loader.check_consistent_history(connection)
    targets = executor.loader.graph.leaf_nodes()
    plan = executor.migration_plan(targets)
    if plan:
        before = executor._create_project_state(with_applied_migrations=True)
        _signal(emit_pre_migrate_signal, before, plan)
        after = executor.migrate(targets, plan=plan, state=before.clone())
        # Content types and permissions are made by receivers of this one.
        after.clear_delayed_apps_cache()
        _signal(emit_post_migrate_signal, after, plan)
    connection.set_schema_to_public()


def _signal(emit, state, plan) -> None:
    emit(verbosity=0, interactive=False, db=connection.alias, apps=state.apps, plan=plan)
