from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.resolution import CACHE_SECONDS
from tenants.services import NoSuchTenant, resume_tenant


class Command(BaseCommand):
    help = "Answer a suspended tenant's requests again."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *, name: str, **options: Any) -> None:
        try:
            changed = resume_tenant(name)
        except NoSuchTenant as error:
            raise CommandError(str(error)) from error
        if changed:
            self.stdout.write(f"{name} is active, everywhere within {CACHE_SECONDS} s")
        else:
            self.stdout.write(f"{name} is active already")
