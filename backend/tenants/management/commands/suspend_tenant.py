from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.resolution import CACHE_SECONDS
from tenants.services import NoSuchTenant, suspend_tenant


class Command(BaseCommand):
    help = "Answer the tenant's requests with 403 until it is resumed; its data stay."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *, name: str, **options: Any) -> None:
        try:
            changed = suspend_tenant(name)
        except NoSuchTenant as error:
            raise CommandError(str(error)) from error
        if changed:
            self.stdout.write(f"{name} is suspended, everywhere within {CACHE_SECONDS} s")
        else:
            self.stdout.write(f"{name} is suspended already")
