from typing import Any

import structlog
from django.apps import apps
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS
from django.db import Error as DatabaseError

from core import tracing
from core.env import environment
from tenants.command_line import unavailable_remedy
from tenants.release import ReleaseFailed, release

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Bring the database up to this code; bin/release runs it before web and worker start."""

    help = "Migrate public and every tenant, and make the tenants that lack a schema."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # As Django's migrate does: an error ends it before anything is migrated.
            self.check(databases=[DEFAULT_DB_ALIAS])
            with tracing.traced("release"):
                release()
            if apps.is_installed("development"):
                _note_changes()
        except ReleaseFailed as failure:
            raise CommandError(str(failure)) from failure
        except DatabaseError as error:
            place = environment()["DATABASE_URL"]
            raise CommandError(
                f"the database at {place['HOST']}:{place['PORT'] or 5432} refused: "
                f"{' '.join(str(error).split())}\n{unavailable_remedy(error)}"
            ) from error


def _note_changes() -> None:
    """Log whether models have changes without a migration, for `./dev up`.

    Another process would load the application once more for that.
    """
    asked = {"check_changes": True, "dry_run": True, "interactive": False, "verbosity": 0}
    try:
        call_command("makemigrations", skip_checks=True, **asked)
    except SystemExit:
        log.warning("models have changes without a migration")
    else:
        log.info("no model has changes without a migration")
