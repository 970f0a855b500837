"""The SQL that masks the personal data in a copy of the database.

Every table in the database is looked at, in the schema of every tenant and in public. A table or
column that no model describes could hold anything, so it prevents the copy.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Field, JSONField, Model
from django_tenants.utils import get_public_schema_name, schema_context
from psycopg.sql import SQL, Composable, Identifier, Literal

from core import personal_data

_COLUMNS = """
SELECT n.nspname, c.relname, c.relkind = 'm', array_agg(a.attname::text)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
GROUP BY 1, 2, 3 ORDER BY 3, 1, 2
"""

# No trigger writes what was there before into a history.
_BEGIN = "SET session_replication_role = replica;"
FUNCTIONS = """
CREATE FUNCTION pg_temp.masked(given jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE jsonb_typeof(given)
        WHEN 'string' THEN to_jsonb('x'::text)
        WHEN 'number' THEN to_jsonb(0)
        WHEN 'array' THEN coalesce(
            (SELECT jsonb_agg(pg_temp.masked(value)) FROM jsonb_array_elements(given)), '[]')
        WHEN 'object' THEN coalesce(
            (SELECT jsonb_object_agg(key, pg_temp.masked(value)) FROM jsonb_each(given)), '{}')
        ELSE given
    END;
END $$;
CREATE FUNCTION pg_temp.digest(given text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT left(encode(sha256(convert_to('@key' || lower(given), 'UTF8')), 'hex'), 16) $$;
"""

_VALUES = {
    # Never delivered anywhere: https://www.rfc-editor.org/rfc/rfc2606#section-2
    "email": "'masked-' || pg_temp.digest({value}) || '@example.invalid'",
    "name": "left('Name ' || pg_temp.digest({value}), {length})",
    "id": "left(pg_temp.digest({value}), {length})",
    # The shape stays: x for each letter, 0 for each digit.
    "text": "regexp_replace(regexp_replace({value}, '[0-9]', '0', 'g'),"
    " '[^0[:space:][:punct:]]', 'x', 'g')",
    # As Django's make_password(None): it fits nothing.
    "password": "'!' || repeat(pg_temp.digest({value}), 2)",
    "json": "pg_temp.masked(to_jsonb({value}))",
    "date": "date_trunc('year', {value})",
}

_LONGEST = 100  # characters of a value in a field without a limit


class Unknown(Exception):
    """Tables and columns that no model describes."""


def statements() -> str:
    """Return SQL for a superuser, connected to the copy.

    Raises:
        Unknown: when the database has tables or columns that no model describes.
    """
    with schema_context(get_public_schema_name()), connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        tables = cursor.fetchall()
    _must_be_known(tables)
    lines = [_BEGIN, FUNCTIONS.replace("@key", secrets.token_hex(32))]
    lines += [line.as_string() for one in tables for line in _of_table(*one)]
    return "\n".join(lines)


def _known() -> dict[str, set[str]]:
    """Return the columns that models describe, by table."""
    known: dict[str, set[str]] = {}
    migrations: type[Model] = MigrationRecorder.Migration
    for model in (*personal_data.models(), migrations):
        columns = {str(field.column) for field in model._meta.local_concrete_fields}
        known.setdefault(model._meta.db_table, set()).update(columns)
    return known


def _must_be_known(tables: list[tuple[str, str, bool, list[str]]]) -> None:
    known = _known()
    unknown = []
    for schema, table, is_view, columns in tables:
        if is_view:  # read again from the masked tables
            continue
        if table not in known:
            unknown.append(f"{schema}.{table}")
        else:
            left = sorted({*columns} - known[table])
            unknown += [f"{schema}.{table}.{column}" for column in left]
    if unknown:
        raise Unknown(", ".join(unknown))


def _of_table(schema: str, table: str, is_view: bool, columns: list[str]) -> Iterator[Composable]:
    where = Identifier(schema, table)
    if is_view:
        yield SQL("REFRESH MATERIALIZED VIEW {};").format(where)
        return
    changes = [
        SQL("{} = {}").format(Identifier(field.column), value(field, mask))
        for model in personal_data.models()
        if model._meta.db_table == table
        for field, mask in personal_data.masked(model)
        if field.column in columns
    ]
    if changes:
        yield SQL("UPDATE {} SET {};").format(where, SQL(", ").join(changes))
        # The old rows, and the samples that the planner keeps of them, go too.
        yield SQL("VACUUM (FULL, ANALYZE) {};").format(where)


def value(field: Field[Any, Any], mask: str) -> Composable:
    """Return the SQL of a masked value of the field's column."""
    if mask == "empty":
        return _empty(field)
    column: Composable = Identifier(str(field.column))
    if isinstance(field, ArrayField):
        inner = _masked(field.base_field, mask, SQL("one"))
        each = SQL("ARRAY(SELECT {} FROM unnest({}) AS one)").format(inner, column)
        return SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(column, each)
    return _masked(field, mask, column)


def _masked(field: Field[Any, Any], mask: str, value: Composable) -> Composable:
    length = Literal(field.max_length or _LONGEST)
    masked = SQL(_VALUES[mask]).format(value=value, length=length)
    if mask in ("json", "date"):
        return masked
    return SQL("CASE WHEN {value} = '' THEN '' ELSE {masked} END").format(
        value=value, masked=masked
    )


def _empty(field: Field[Any, Any]) -> Composable:
    if field.null:
        return SQL("NULL")
    return SQL("'{}'") if isinstance(field, (ArrayField, JSONField)) else SQL("''")
