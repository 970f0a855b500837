from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.services import NoSuchTenant, export_tenant


class Command(BaseCommand):
    help = "Write one tenant's rows and files to an archive that create_tenant --from can load."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *, name: str, **options: Any) -> None:
        try:
            self.stdout.write(f"exported to {export_tenant(name)}")
        except (NoSuchTenant, OSError) as error:
            raise CommandError(str(error)) from error
