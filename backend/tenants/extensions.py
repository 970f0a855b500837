"""PostgreSQL's extensions that the product uses: settings.POSTGRES_EXTENSIONS.

They are in a schema of their own, at the end of every search path: one copy of an extension serves
the whole database, and no tenant may see public.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from psycopg import errors
from psycopg.sql import SQL, Identifier

from tenants.names import EXTENSIONS


class ExtensionUnavailable(Exception):
    """The server lacks an extension, or lets only a superuser make it."""


def make_extensions() -> None:
    """Make the declared extensions that the database lacks, for every role.

    Raises:
        ExtensionUnavailable: naming all that the server has no files of; or the first that
            needs a superuser.
    """
    wanted = settings.POSTGRES_EXTENSIONS
    if not wanted:
        return
    connection.set_schema_to_public()
    if missing := _missing(wanted):
        raise ExtensionUnavailable(
            f"the database server does not have the extension {', '.join(missing)} of "
            f"POSTGRES_EXTENSIONS; {settings.REMEDIES['extension']}"
        )
    schema = Identifier(EXTENSIONS)
    with connection.cursor() as cursor:
        cursor.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        cursor.execute(SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(schema))
        cursor.execute(
            """SELECT extname, extnamespace::regnamespace::text FROM pg_extension
               WHERE extname = ANY(%s)""",
            [list(wanted)],
        )
        found = dict(cursor.fetchall())
    for name in wanted:
        if name not in found:
            _execute(f'CREATE EXTENSION "{name}" SCHEMA {EXTENSIONS} CASCADE')
        elif found[name] != EXTENSIONS:
            _execute(f'ALTER EXTENSION "{name}" SET SCHEMA {EXTENSIONS}')


def _missing(wanted: Sequence[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_available_extensions")
        return sorted(set(wanted) - {name for (name,) in cursor.fetchall()})


def _execute(statement: str) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except ProgrammingError as error:
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        raise ExtensionUnavailable(
            f"the server lets only a superuser do this, in the database "
            f"{connection.settings_dict['NAME']}: {statement}"
        ) from error
