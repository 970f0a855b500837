"""`manage.py sqlmask`: the SQL that masks the personal data in a copy of the database."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from development import masking


class Command(BaseCommand):
    help = "Print the SQL that masks the declared personal data in a copy of this database."

    def handle(self, **options: Any) -> None:
        try:
            self.stdout.write(masking.statements())
        except masking.Unknown as error:
            raise CommandError(
                f"no model describes, so it may be personal data: {error}"
            ) from error
