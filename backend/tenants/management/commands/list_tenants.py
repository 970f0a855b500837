from typing import Any

from django.core.management.base import BaseCommand
from django.template.defaultfilters import filesizeformat

from tenants.services import list_tenants

HEADINGS = ("NAME", "TITLE", "STATE", "RELEASED", "SIZE", "IDENTITY", "ANSWERS AT")


class Command(BaseCommand):
    help = "Show every tenant: state, whether its schema is up to date, size, addresses."
    requires_system_checks = []

    def handle(self, **options: Any) -> None:
        rows = [HEADINGS]
        rows += [
            (
                tenant.name,
                tenant.title,
                tenant.state,
                tenant.released,
                filesizeformat(tenant.size).replace("\xa0", " "),
                tenant.identity,
                ", ".join(tenant.domains),
            )
            for tenant in list_tenants()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
