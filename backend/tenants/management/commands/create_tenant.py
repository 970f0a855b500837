from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.archive import NotRestorable
from tenants.release import ReleaseFailed
from tenants.services import create_tenant


class Command(BaseCommand):
    help = "Make a tenant: row, domains, role and migrated schema. Needs app_owner."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the schema; also its subdomain")
        parser.add_argument("--name", dest="title", default="", help="shown to people")
        parser.add_argument(
            "--domain",
            dest="domains",
            action="append",
            default=[],
            help="a host name it answers at; may be given several times",
        )
        parser.add_argument(
            "--from", dest="archive", type=Path, help="archive of export_tenant to be loaded"
        )

    def handle(
        self, *, name: str, title: str, domains: list[str], archive: Path | None, **options: Any
    ) -> None:
        try:
            tenant, is_new = create_tenant(name, title, domains, archive)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except NotRestorable as error:
            raise CommandError(f"{error}\nNothing was made.") from error
        except ReleaseFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"created {name}" if is_new else f"{name} exists; nothing to make")
        if title and title != tenant.name:
            self.stdout.write(f"it is called {tenant.name!r}; change that in the operators' admin")
