from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.names import role_of
from tenants.services import NoSuchTenant, drop_tenant, get_tenant


class Command(BaseCommand):
    help = "Export a tenant, then remove it with everything it has."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--no-export", dest="export", action="store_false", help="keep no archive of it"
        )

    def handle(self, *, name: str, yes: bool, export: bool, **options: Any) -> None:
        try:
            get_tenant(name)
            if not yes and not self._confirmed(name):
                raise CommandError("nothing was dropped")
            dropped = drop_tenant(name, export=export)
        except (NoSuchTenant, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"dropped {name}")
        if dropped.archive:
            self.stdout.write(f"its archive: {dropped.archive}")
        if not dropped.role_dropped:
            self.stdout.write(f"{role_of(name)} is kept: another database of the cluster needs it")

    def _confirmed(self, name: str) -> bool:
        try:
            return input(f"Type {name} to drop it with everything it has: ") == name
        except EOFError:
            raise CommandError(
                "cannot ask for confirmation: stdin is not a terminal; add --yes"
            ) from None
