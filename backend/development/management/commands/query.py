"""`manage.py query SQL --tenant NAME`: rows that the tenant may read, as JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction

LONGEST = 500  # characters of a value


class Command(BaseCommand):
    help = "Print the rows of a query that only reads, as JSON."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sql", help="one SELECT, VALUES or WITH")
        parser.add_argument("--rows", type=int, default=50, help="at most so many (%(default)s)")
        parser.add_argument(
            "--seconds", type=float, default=5, help="cancel it after this time (%(default)s)"
        )

    def handle(self, *, sql: str, rows: int, seconds: float, **options: Any) -> None:
        try:
            found = read(sql, rows, seconds)
        except DatabaseError as error:
            raise CommandError(" ".join(str(error).split())) from error
        self.stdout.write(json.dumps(found))


def read(sql: str, rows: int, seconds: float) -> dict[str, Any]:
    """Return the columns and at most `rows` rows of a query, run as the connection's tenant.

    PostgreSQL refuses everything that writes: the transaction only reads, and a cursor takes
    one SELECT, VALUES or WITH, so that the transaction cannot be ended by it.

    Raises:
        DatabaseError: from PostgreSQL, also when the query takes longer than `seconds`.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            limit = f"{max(1, int(seconds * 1000))}ms"
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [limit])
        with connection.chunked_cursor() as cursor:
            cursor.execute(sql.rstrip("; \n"))
            kept = cursor.fetchmany(rows + 1)
            columns = [column[0] for column in cursor.description or ()]
        transaction.set_rollback(True)
    return {
        "columns": columns,
        "rows": [[_shown(value) for value in row] for row in kept[:rows]],
        "more": len(kept) > rows,
    }


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... {len(text)} characters"
