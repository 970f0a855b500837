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


# What runs inside a function with its owner's rights cannot take another role, neither by SET nor
# by set_config; it runs there to its end, which a cursor would not.
# https://www.postgresql.org/docs/current/sql-set-role.html
READ = """
CREATE FUNCTION pg_temp.read(query text, at_most int) RETURNS SETOF json
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    one record;
    many int := 0;
BEGIN
    FOR one IN EXECUTE query LOOP
        RETURN NEXT row_to_json(one);
        many := many + 1;
        EXIT WHEN many = at_most;
    END LOOP;
END $$
"""

# As pairs, because two columns may have one name.
ROWS = """
SELECT (SELECT coalesce(json_agg(json_build_array(key, value)), '[]')::text FROM json_each(one))
FROM pg_temp.read(%s, %s) AS one
"""


def read(sql: str, rows: int, seconds: float) -> dict[str, Any]:
    """Return the columns and at most `rows` rows of a query, run as the connection's tenant.

    PostgreSQL refuses everything that writes or leaves the tenant's role: the transaction only
    reads, the function is the role's own, and its loop takes one statement that gives rows.

    Raises:
        DatabaseError: from PostgreSQL, also when the query takes longer than `seconds`.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(READ)
        cursor.execute("SET TRANSACTION READ ONLY")
        limit = f"{max(1, int(seconds * 1000))}ms"
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [limit])
        query = sql.rstrip("; \n")
        cursor.execute(ROWS, [query, rows + 1])
        kept = [json.loads(row) for (row,) in cursor.fetchall()]
        transaction.set_rollback(True)
    return {
        "columns": [name for name, _ in kept[0]] if kept else [],
        "rows": [[_shown(value) for _, value in row] for row in kept[:rows]],
        "more": len(kept) > rows,
    }


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... {len(text)} characters"
