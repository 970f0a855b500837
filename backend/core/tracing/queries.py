"""Each query of Django as a span, with the names of the semantic conventions.

OpenTelemetry's instrumentation of psycopg costs more than the span itself: it asks, for each query,
which of two conventions to follow, and measures what is not sent.
https://opentelemetry.io/docs/specs/semconv/database/postgresql/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from core.tracing.context import TENANT
from core.tracing.privacy import SQL

_OPERATION = re.compile(r"(?:\s+|/\*.*?\*/|--[^\n]*)*(\w+)", re.DOTALL)

_tracer = trace.get_tracer("homeport.queries")


def instrument() -> None:
    """Trace the connections that this process opens from now on."""
    connection_created.connect(_trace)


def _trace(connection: Any, **kwargs: Any) -> None:
    if _traced_query not in connection.execute_wrappers:
        # A block with a wrapper may run, and it removes the last.
        connection.execute_wrappers.insert(0, _traced_query)


def _traced_query(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    if not trace.get_current_span().is_recording():
        return execute(sql, params, many, context)
    connection = context["connection"]
    text = sql if isinstance(sql, str) else _text(sql)
    operation = _OPERATION.match(text)
    attributes = {
        TENANT: connection.schema_name,
        "db.system.name": "postgresql",
        "db.namespace": connection.settings_dict["NAME"],
        SQL: text,
    }
    name = operation[1] if operation else "query"
    # Nothing asks for the span while it runs, so it is not made the present one.
    with _tracer.start_span(name, None, SpanKind.CLIENT, attributes):
        return execute(sql, params, many, context)


def _text(sql: Any) -> str:
    """Return a statement of psycopg.sql, or in bytes."""
    return sql.decode(errors="replace") if isinstance(sql, bytes) else str(sql.as_string())
