"""Migrating one schema, and telling whether it needs it."""

from __future__ import annotations

import hashlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import CreateExtension
from django.core.management import call_command
from django.core.management.commands.migrate import Command as Migrate
from django.db import connection
from django.db.migrations.loader import MigrationLoader

log = structlog.get_logger(__name__)

# As `squashmigrations` names it: 0001_squashed_0004_..., or 0001_initial_squashed_0004_...
SQUASHED = re.compile(r"(?P<first>\d{4})_(?:\w+_)?squashed_(?P<last>\d{4})")


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

    Without those that one of its squashed migrations replaces: Django keeps their rows when
    their files are deleted.
    """
    known = migrations_on_disk()
    installed = {config.label for config in apps.get_app_configs()}
    squashed = [(app, SQUASHED.match(name)) for app, name in known]
    ranges = [(app, found["first"], found["last"]) for app, found in squashed if found]
    return {
        (app, name)
        for app, name in set(applied) - known
        if app in installed
        and not any(app == other and first <= name[:4] <= last for other, first, last in ranges)
    }


def files() -> set[tuple[str, str]]:
    """Return the migrations that the applications have as files now, unlike at the start."""
    return {
        (label, entry.name)
        for label in {app for app, _name in migrations_on_disk()}
        for entry in pkgutil.iter_modules(_folders_of(label))
        if not entry.ispkg and entry.name[0] not in "_~"  # as Django's loader
    }


def _folders_of(label: str) -> list[str]:
    module = sys.modules.get(MigrationLoader.migrations_module(label)[0] or "")
    return list(getattr(module, "__path__", ()))


def faults() -> str:
    """Return why no schema may be migrated, with the remedy; usually nothing.

    Several leaf migrations of one application; or one that makes an extension which is not
    declared: a tenant's role may make none, and the next tenant would lack it.
    """
    loader = MigrationLoader(None)
    conflicts = "; ".join(
        f"{', '.join(sorted(names))} in {app}"
        for app, names in sorted(loader.detect_conflicts().items())
    )
    if conflicts:
        return (
            f"conflicting migrations, several leaves of one application: {conflicts}. Nothing was "
            f"migrated. Merge them: {settings.REMEDIES['manage']} makemigrations --merge"
        )
    undeclared = ", ".join(
        f"{operation.name} ({app}.{name})"
        for (app, name), migration in sorted(loader.disk_migrations.items())
        for operation in migration.operations
        if isinstance(operation, CreateExtension)
        and operation.name not in settings.POSTGRES_EXTENSIONS
    )
    return undeclared and (
        f"extensions of PostgreSQL that are not declared: {undeclared}. Nothing was migrated. "
        "Add them to POSTGRES_EXTENSIONS in core/settings/base.py"
    )


def migrate(schema_name: str, follow: Callable[[str, Any], None] | None = None) -> None:
    """Apply every migration that the schema lacks, as the role that owns it.

    `follow` is told what Django's command tells of its progress, and about which migration.

    Django's own command does it, with its signals. django-tenants' command adds a connection, a
    start of Django's checks and two more looks at the catalog.

    Raises:
        django.db.Error: when a migration fails; the log names it. Those before it stay applied.
        InconsistentMigrationHistory: when a migration was applied before one it needs.
    """
    command = _Migrate()
    command.follow = follow
    connection.set_schema(schema_name)
    try:
        call_command(command, verbosity=0, interactive=False, skip_checks=True)
    except Exception as error:
        if command.migration:
            reason = " ".join(str(error).split())
            log.error(
                "migration failed", schema=schema_name, migration=command.migration, reason=reason
            )
        raise
    connection.set_schema_to_public()


class _Migrate(Migrate):
    """Django's command, which remembers the migration that it is at."""

    migration = ""
    follow: Callable[[str, Any], None] | None = None

    def migration_progress_callback(
        self, action: str, migration: Any = None, fake: bool = False
    ) -> None:
        if action == "apply_start":
            self.migration = str(migration)
        elif action == "apply_success":
            self.migration = ""
        if self.follow:
            self.follow(action, migration)
