"""Migrating one schema, and telling whether it needs it."""

from __future__ import annotations

import hashlib
import pkgutil
import re
import sys
from collections.abc import Iterable
from functools import cache

from django.apps import apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import signals

# As `squashmigrations` names it: 0001_squashed_0004_..., or 0001_initial_squashed_0004_...
_SQUASHED = re.compile(r"(?P<first>\d{4})_(?:\w+_)?squashed_(?P<last>\d{4})")


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
    return stamp_of(migrations_on_disk())


def stamp_of(migrations: Iterable[tuple[str, str]]) -> str:
    """Return the stamp of a tenant that has these migrations."""
    names = "\n".join(f"{app}.{name}" for app, name in sorted(migrations))
    return hashlib.sha256(names.encode()).hexdigest()


def unknown(applied: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of `applied` that this process lacks although it has their application.

    Not those that a squashed migration of its own stands for: Django keeps their rows when
    their files are deleted.
    """
    known = migrations_on_disk()
    installed = {config.label for config in apps.get_app_configs()}
    squashed = [(app, _SQUASHED.match(name)) for app, name in known]
    ranges = [(app, found["first"], found["last"]) for app, found in squashed if found]
    return {
        (app, name)
        for app, name in set(applied) - known
        if app in installed
        and not any(app == other and first <= name[:4] <= last for other, first, last in ranges)
    }


def files_of(labels: Iterable[str]) -> set[tuple[str, str]]:
    """Return the migrations that the applications have as files now, unlike at the start."""
    found = set()
    for label in set(labels):
        module = sys.modules.get(MigrationLoader.migrations_module(label)[0])
        names = (entry.name for entry in pkgutil.iter_modules(getattr(module, "__path__", ())))
        found |= {(label, name) for name in names}
    return found


def conflicts() -> str:
    """Return the applications that have several leaf migrations, and these; usually nothing."""
    return "; ".join(
        f"{', '.join(sorted(names))} in {app}"
        for app, names in sorted(_loader().detect_conflicts().items())
    )


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
    else:
        # A squashed migration whose replaced ones are all applied; their files may go next.
        executor.check_replacements()
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
