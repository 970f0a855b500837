"""Migrating one schema, and telling whether it needs it."""

from __future__ import annotations

import hashlib
from functools import cache

from django.apps import apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import signals


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
    executor = _executor()
    executor.loader.check_consistent_history(connection)
    targets = executor.loader.graph.leaf_nodes()
    plan = executor.migration_plan(targets)
    if plan:
        state = executor._create_project_state(with_applied_migrations=True)
        about = {"verbosity": 0, "interactive": False, "using": connection.alias, "plan": plan}
        _send(signals.pre_migrate, apps=state.apps, **about)
        # Django's command goes on with a copy, whose models it renders once more.
        state = executor.migrate(targets, plan=plan, state=state)
        # Content types and permissions are made by receivers of this one.
        state.clear_delayed_apps_cache()
        _send(signals.post_migrate, apps=state.apps, **about)
    connection.set_schema_to_public()


def _executor() -> MigrationExecutor:
    """Return an executor for the schema the connection is in.

    The graph is read from disk once for all schemas. Squashed migrations make it depend on what
    a schema has applied; then it is read for each.
    """
    executor = MigrationExecutor.__new__(MigrationExecutor)
    executor.connection = connection
    executor.progress_callback = None
    executor.recorder = MigrationRecorder(connection)
    executor.loader = _loader()
    if executor.loader.replacements:
        executor.loader = MigrationLoader(connection)
    else:
        executor.loader.applied_migrations = executor.recorder.applied_migrations()
    return executor


@cache
def _loader() -> MigrationLoader:
    return MigrationLoader(None)


def _send(signal, *, plan, **about) -> None:
    """Tell the applications that the plan touches; nothing changed for the others."""
    touched = {migration.app_label for migration, _backwards in plan}
    for config in apps.get_app_configs():
        if config.models_module and config.label in touched:
            signal.send(sender=config, app_config=config, plan=plan, **about)
