"""One tenant in one file: its rows as PostgreSQL's COPY writes them, and its uploaded files.

pg_dump is no part of the image, and Debian's is older than the server, which it then refuses.
COPY is the same on every version, and what it wrote is loaded by this code alone.

    tenant.json            name, title, domains, migrations; columns of each table
    tables/TABLE           COPY … TO STDOUT, in text format
    files/PATH             what the default storage holds
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString
from zipfile import BadZipFile

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import default_storage
from django.db import DataError, IntegrityError, connection, transaction
from django_tenants.utils import tenant_context
from psycopg.sql import SQL, Composed, Identifier

from tenants.migration import stamp
from tenants.models import Tenant

MANIFEST = "tenant.json"
# What reading a file raises that is no zip file, or a broken or encrypted one.
_UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, EOFError, BadZipFile, zlib.error)


class NotRestorable(Exception):
    """The file is no archive of a tenant, or one that this code or the database refuses."""


def write(tenant: Tenant, path: Path) -> None:
    """Write the tenant to a new file; nothing is left behind when that fails.

    Raises:
        FileExistsError: when the file exists.
        OSError: when it cannot be written.
    """
    domains = list(tenant.domains.values_list("domain", flat=True))
    partial = path.with_suffix(".partial")
    try:
        with (
            tenant_context(tenant),
            _snapshot(),
            zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED) as archive,
        ):
            tables = _tables()
            manifest = {
                "name": tenant.schema_name,
                "title": tenant.name,
                "domains": domains,
                "migrations": tenant.migrations_stamp,
                "tables": tables,
            }
            archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
            for table, columns in tables.items():
                _copy_out(table, columns, archive)
            for name in _files():
                with default_storage.open(name) as source, archive.open(f"files/{name}", "w") as to:
                    shutil.copyfileobj(source, to)
        partial.chmod(0o600)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def check_restorable(path: Path) -> None:
    """Raise NotRestorable unless `restore` can load this file with the code that runs now."""
    _manifest(path)


def restore(tenant: Tenant, path: Path) -> None:
    """Load an archive into a tenant that was just made; what it holds is replaced.

    Raises:
        NotRestorable: when the archive does not fit this code, or is damaged. No row is loaded
            then; files may be.
    """
    tables = _manifest(path)["tables"]
    with tenant_context(tenant):
        connection.check_constraints()  # a row with a check still to come cannot be truncated
        _check_tables(path, tables)
        try:
            # COPY's own errors are the driver's.
            with (
                connection.wrap_database_errors,
                transaction.atomic(),
                zipfile.ZipFile(path) as archive,
            ):
                _load(tables, archive)
                connection.check_constraints()
        except (*_UNREADABLE, SuspiciousOperation, DataError, IntegrityError) as error:
            raise NotRestorable(
                f"{path} cannot be loaded: {' '.join(str(error).split())}"
            ) from error


def _load(tables: dict[str, list[str]], archive: zipfile.ZipFile) -> None:
    with connection.cursor() as cursor:
        names = SQL(", ").join(map(Identifier, tables))
        cursor.execute(SQL("TRUNCATE {} RESTART IDENTITY").format(names))
    # Django's foreign keys are checked at the end, so the tables' order does not matter.
    for table, columns in tables.items():
        _copy_in(table, columns, archive)
    for name in archive.namelist():
        if name.startswith("files/"):
            with archive.open(name) as source:
                default_storage.save(name.removeprefix("files/"), source)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(MANIFEST))
    except _UNREADABLE as error:
        raise NotRestorable(f"{path} is no archive of a tenant ({error})") from error
    if fault := _fault(manifest):
        raise NotRestorable(f"{path} is no archive of a tenant ({MANIFEST}: {fault})")
    if manifest["migrations"] != stamp():
        raise NotRestorable(
            f"{path} was written with other migrations than this code has; restore it with the "
            "code of its time, then release"
        )
    return manifest


def _fault(manifest: Any) -> str:
    """Return what is wrong with the form of a manifest, or an empty string."""
    if not isinstance(manifest, dict):
        return "it is not an object"
    if not isinstance(manifest.get("migrations"), str):
        return "`migrations` is not a text"
    tables = manifest.get("tables")
    if not isinstance(tables, dict):
        return "`tables` is not an object"
    for table, columns in tables.items():
        if not (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
            return f"the columns of {table!r} are not a list of names"
    return ""


def _check_tables(path: Path, tables: dict[str, list[str]]) -> None:
    """Refuse tables and columns other than those that the migrations made in this schema."""
    expected = _tables()
    foreign, missing = sorted(set(tables) - set(expected)), sorted(set(expected) - set(tables))
    other = [
        table
        for table in sorted(set(tables) & set(expected))
        if sorted(tables[table]) != sorted(expected[table])
    ]
    for fault, names in (
        ("tables that no installed application has", foreign),
        ("no rows of tables", missing),
        ("other columns in tables", other),
    ):
        if names:
            raise NotRestorable(f"{path} has {fault}: {', '.join(map(repr, names))}")


# --- rows ---------------------------------------------------------------------------------


@contextmanager
def _snapshot() -> Iterator[None]:
    """Read all tables as of one moment, unless a transaction has already begun."""
    begun = connection.in_atomic_block
    with transaction.atomic():
        if not begun:
            with connection.connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _tables() -> dict[str, list[str]]:
    """Return the columns of each table of the schema, without generated ones."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT relname, array_agg(attname ORDER BY attnum)
               FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
               WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
                 AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
               GROUP BY relname ORDER BY relname"""
        )
        return dict(cursor.fetchall())


def _copy_out(table: str, columns: list[str], archive: zipfile.ZipFile) -> None:
    with (
        connection.cursor() as cursor,
        archive.open(f"tables/{table}", "w", force_zip64=True) as out,
        cursor.copy(_copy(table, columns, "TO STDOUT")) as rows,
    ):
        for chunk in rows:
            out.write(chunk)


def _copy_in(table: str, columns: list[str], archive: zipfile.ZipFile) -> None:
    with connection.cursor() as cursor:
        with (
            archive.open(f"tables/{table}") as source,
            cursor.copy(_copy(table, columns, "FROM STDIN")) as rows,
        ):
            while chunk := source.read(1 << 20):
                rows.write(chunk)
        cursor.execute(
            """SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
               WHERE relname = %s AND relnamespace = current_schema()::regnamespace
                 AND attidentity <> ''""",
            [table],
        )
        for (column,) in cursor.fetchall():
            cursor.execute(
                SQL(
                    "SELECT setval(pg_get_serial_sequence(quote_ident(%s), %s), max({})) FROM {}"
                ).format(Identifier(column), Identifier(table)),
                [table, column],
            )


def _copy(table: str, columns: list[str], direction: LiteralString) -> Composed:
    names = SQL(", ").join(map(Identifier, columns))
    return SQL("COPY {} ({}) {}").format(Identifier(table), names, SQL(direction))


# --- files --------------------------------------------------------------------------------


def _files(folder: str = "") -> Iterator[str]:
    """Yield the name of every file that the tenant's storage holds."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever uploaded
        return
    prefix = f"{folder}/" if folder else ""
    for name in files:
        yield prefix + name
    for name in folders:
        yield from _files(prefix + name)
