"""Use a database as older code does, while a rehearsal migrates it: tenants/rehearsal.py.

    python -c SOURCE DATABASE OPTIONS

Runs in the directory of the older code, with its models, so it imports nothing of this release.
It prints the older code's migrations first. For each line with a schema's name it then uses every
model there again and again, until an empty line; then it prints what came of it.
"""

import json
import logging
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

import django
from django.apps import apps
from django.db import DatabaseError, connection, router, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import AutoField, Model

# PostgreSQL looks for NULL and at CHECK constraints first, so the copy of a row is in order then.
UNIQUE_VIOLATION = "23505"
REQUIRED = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND attnotnull
AND NOT (attisdropped OR atthasdef) AND attidentity = ''
"""

# A connection remembers every table that it has seen.
ORDERS_A_CONNECTION = 50

# Standard input, of which nothing is read ahead: `use` asks whether there is more.
ORDERS = os.fdopen(0, "rb", buffering=0, closefd=False)
# Standard output, which is the other one for everything that the older code prints.
ANSWERS = os.fdopen(os.dup(1), "w", closefd=False)


def main(database: str, options: str) -> None:
    """Answer the lines of standard input."""
    os.dup2(2, 1)
    django.setup()
    logging.disable(logging.CRITICAL)
    connection.settings_dict["NAME"] = database
    connection.settings_dict["OPTIONS"]["options"] = options
    known = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    answer([f"{app}.{name}" for app, name in known])
    for number, line in enumerate(ORDERS, start=1):
        if schema := line.decode().strip():
            answer(use(schema))
        if number % ORDERS_A_CONNECTION == 0:
            connection.close()


def answer(found: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps(found), file=ANSWERS, flush=True)


def use(schema: str) -> dict[str, Any]:
    """Use all models in `schema` at least once; return the errors and the longest time."""
    errors: set[str] = set()
    longest = 0.0
    while True:
        for what, seconds in use_once(schema):
            longest = max(longest, seconds)
            errors |= {what} - {""}
        if select.select([ORDERS], [], [], 0)[0]:
            return {"errors": sorted(errors), "longest": longest}


def use_once(schema: str) -> Iterator[tuple[str, float]]:
    """Use each model; yield what was wrong or an empty text, and the seconds it took."""
    for model in apps.get_models(include_auto_created=True):
        began = time.monotonic()
        what = ""
        try:
            connection.set_schema(schema)
            meta = model._meta
            if meta.managed and not meta.proxy and router.allow_migrate_model("default", model):
                what = _use(model)
        except DatabaseError as error:
            [reason, *_] = str(error).splitlines() or [type(error).__name__]
            what = f"{model._meta.label}: {reason}"
            if not connection.is_usable():
                connection.close()
        yield what, time.monotonic() - began


def _use(model: type[Model]) -> str:
    """Read a row with all its columns, insert a copy of it, and roll back."""
    with transaction.atomic():
        what = _read_and_insert(model)
        transaction.set_rollback(True)
    return what


def _read_and_insert(model: type[Model]) -> str:
    meta = model._meta
    rows = list(model._base_manager.all()[:1])
    with connection.cursor() as cursor:
        cursor.execute(REQUIRED, [connection.ops.quote_name(meta.db_table)])
        required = {name for (name,) in cursor.fetchall()}
    if left_out := required - {field.column for field in meta.local_concrete_fields}:
        columns = ", ".join(sorted(left_out))
        return f"{meta.label}: an INSERT lacks {columns}, NOT NULL without a default"
    if rows and not meta.parents:
        _insert_copy(model, rows[0])
    return ""


def _insert_copy(model: type[Model], row: Model) -> None:
    if isinstance(model._meta.pk, AutoField) or model._meta.pk.has_default():
        row.pk = None
    try:
        model._base_manager.bulk_create([row])  # sends no signals
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", "") != UNIQUE_VIOLATION:
            raise


if __name__ == "__main__":
    main(*sys.argv[1:])
