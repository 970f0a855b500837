"""Each query of Django as a span, with the names of the semantic conventions.

OpenTelemetry's instrumentation of psycopg costs six times as much: it asks, for each query, which
of two conventions to follow, measures what is not sent, and makes a span that others could change
while the query runs. Here a query that has run is a span that has ended.
https://opentelemetry.io/docs/specs/semconv/database/postgresql/
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind

from core.tracing.context import TENANT
from core.tracing.privacy import SQL

LONGEST = 4096  # characters of an attribute
CLIENT = SpanKind.CLIENT

_OPERATION = re.compile(r"(?:\s+|/\*.*?\*/|--[^\n]*)*(\w+)", re.DOTALL)

_SCOPE = InstrumentationScope("homeport.queries")
_tracer = trace.get_tracer("homeport.queries")


class Queries:
    """Hands the queries of traced requests, tasks and commands to the span processors `to`."""

    def __init__(self, to: SpanProcessor) -> None:
        self._to = to
        self._ids = RandomIdGenerator()

    def instrument(self) -> None:
        """Trace the connections that this process opens from now on."""
        connection_created.connect(self._trace, weak=False)

    def _trace(self, connection: Any, **kwargs: Any) -> None:
        if self not in connection.execute_wrappers:
            # A block with a wrapper may run, and it removes the last.
            connection.execute_wrappers.insert(0, self)

    def __call__(
        self,
        execute: Callable[..., Any],
        sql: Any,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        within = trace.get_current_span()
        if not (isinstance(within, ReadableSpan) and within.is_recording()):
            return execute(sql, params, many, context)
        name, attributes = _described(sql, context["connection"])
        began = time.time_ns()
        try:
            result = execute(sql, params, many, context)
        except BaseException:
            with _tracer.start_span(name, None, CLIENT, attributes, start_time=began):
                raise
        self._to.on_end(self._ended(within, name, attributes, began))
        return result

    def _ended(
        self, within: Any, name: str, attributes: dict[str, Any], began: int
    ) -> ReadableSpan:
        parent = within.get_span_context()
        return ReadableSpan(
            name,
            SpanContext(
                parent.trace_id,
                self._ids.generate_span_id(),
                False,
                parent.trace_flags,
                parent.trace_state,
            ),
            parent,
            within.resource,
            attributes,
            kind=CLIENT,
            start_time=began,
            end_time=time.time_ns(),
            instrumentation_scope=_SCOPE,
        )


def _described(sql: Any, connection: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of a query's span, and its attributes."""
    text = sql if isinstance(sql, str) else _text(sql)
    operation = _OPERATION.match(text)
    attributes = {
        TENANT: connection.schema_name,
        "db.system.name": "postgresql",
        "db.namespace": connection.settings_dict["NAME"],
        SQL: text[:LONGEST],
    }
    return operation[1] if operation else "query", attributes


def _text(sql: Any) -> str:
    """Return a statement of psycopg.sql, or in bytes."""
    return sql.decode(errors="replace") if isinstance(sql, bytes) else str(sql.as_string())
