from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django_tenants.utils import tenant_context

from core.tenancy import in_a_tenant
from demo.services import CATALOGUE, seed
from tenants.models import Tenant


class Command(BaseCommand):
    """Fill every tenant, or that of --tenant; running it again adds only what is missing."""

    help = "Fill every tenant with sample data, and print the log-ins that were made."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--size",
            type=int,
            default=CATALOGUE,
            help="products of each tenant, e.g. 100000 for benchmarks (default: %(default)s)",
        )

    def handle(self, *args: Any, size: int, **options: Any) -> None:
        for tenant in [connection.tenant] if in_a_tenant() else self._tenants():
            with tenant_context(tenant):
                passwords = seed(size)
            self.stdout.write(f"{tenant.schema_name}: {self._report(passwords)}")

    def _tenants(self) -> list[Tenant]:
        return list(Tenant.objects.filter(is_active=True))

    def _report(self, passwords: dict[str, str]) -> str:
        if not passwords:
            return "the accounts were there; their passwords were printed when they were made."
        lines = [f"\n  {email}  {password}" for email, password in passwords.items()]
        return "log in with (printed only now)" + "".join(lines)
