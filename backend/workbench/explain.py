"""How PostgreSQL would run a kept query: its plan for any values, as the tenant's role.

The values are not kept, so the plan is the generic one.
https://www.postgresql.org/docs/18/sql-explain.html
"""

from __future__ import annotations

import re
from itertools import count

from django.db import DatabaseError, connection, transaction
from django_tenants.utils import get_public_schema_name, tenant_context

from tenants.services import get_tenant
from workbench.traces import Span
from workbench.waterfall import statement

_PLANNED = re.compile(r"\s*\(?\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|VALUES)\b", re.IGNORECASE)
_PLACE = re.compile(r"%s|\?")


class Unexplained(Exception):
    """There is no plan; the text says why."""


def plan(span: Span) -> str:
    """Return the plan of a span's query. It is not run.

    Raises:
        Unexplained: when there is no such plan, or no such tenant any more.
    """
    sql = statement(span)
    if not _PLANNED.match(sql):
        raise Unexplained("PostgreSQL has plans for SELECT, INSERT, UPDATE and DELETE only.")
    if ";" in sql.rstrip("; \n"):
        raise Unexplained("This is more than one statement.")
    if len(sql) >= 4096:
        raise Unexplained("The statement is too long and was kept in part.")
    name = str(span["attributes"].get("tenant", ""))
    if name in ("", get_public_schema_name()):
        return _explained(sql)
    try:
        tenant = get_tenant(name)
    except LookupError as error:
        raise Unexplained(str(error)) from error
    with tenant_context(tenant):
        return _explained(sql)


def _explained(sql: str) -> str:
    numbers = count(1)
    numbered = _PLACE.sub(lambda _place: f"${next(numbers)}", sql).replace("%%", "%")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}")
            return "\n".join(line for (line,) in cursor.fetchall())
    except DatabaseError as error:
        raise Unexplained(str(error).strip()) from error
