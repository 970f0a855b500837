"""What each span says, as the workbench keeps it: with lines of the log, arguments and results."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from core.tracing.instrumentation import provider
from core.tracing.privacy import clean
from workbench import traces
from workbench.activity_log import Writer, connect

LONGEST_LINE = 500  # characters of a line of the log
# Of a line, what the span says already, or what its level and text are.
_NOT_IN_A_LINE = frozenset(
    {"body", "event", "exc_info", "ip", "level", "logger", "parent_task_id", "request_id"}
    | {"task_id", "tenant", "timestamp", "user_id"}
)

writer: Writer[ReadableSpan] = Writer(
    # Here rather than as each ends, so that no request waits for it.
    lambda client, spans: traces.write(client, map(recorded, spans))
)


def keep() -> None:
    """Keep the spans of this process, and beside them the lines of its log."""
    provider().add_span_processor(Keeper())
    logging.root.addHandler(Lines())


class Keeper(SpanProcessor):
    """Hands over what has ended to the thread that writes."""

    def on_end(self, span: ReadableSpan) -> None:
        writer.note(span)

    def force_flush(self, timeout_millis: int = 0) -> bool:
        with connect() as client:
            writer.flush(client)
        return True

    def shutdown(self) -> None:
        self.force_flush()


class Lines(logging.Handler):
    """Puts each line of the log beside the span in which it was written."""

    def emit(self, record: logging.LogRecord) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event("log", {"level": record.levelname.lower(), "text": _text(record)})


def _text(record: logging.LogRecord) -> str:
    if not isinstance(record.msg, dict):
        return record.getMessage()[:LONGEST_LINE]
    said = {name: value for name, value in record.msg.items() if name not in _NOT_IN_A_LINE}
    words = [str(record.msg.get("event", "")), *(f"{name}={value}" for name, value in said.items())]
    return " ".join(words)[:LONGEST_LINE]


def recorded(span: ReadableSpan) -> traces.Recorded:
    """Return a span as it is kept; in tuples, which the garbage collector soon leaves alone."""
    context, parent, status = span.context, span.parent, span.status
    assert context is not None  # noqa: S101  # each span of the SDK has one
    attributes = clean(span.attributes)
    return context.trace_id, (
        context.span_id,
        parent.span_id if parent else 0,
        span.kind.name,
        span.name,
        span.resource.attributes[SERVICE_NAME],
        span.start_time,
        span.end_time,
        status.status_code is StatusCode.ERROR,
        status.description,
        attributes,
        tuple((one.name, one.timestamp, clean(one.attributes)) for one in span.events),
        _entry(span, attributes),
    )


def _entry(span: ReadableSpan, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    if span.kind is SpanKind.SERVER:
        said = {
            "type": "requests",
            "method": attributes.get("http.request.method", ""),
            "path": str(attributes.get("url.path", ""))[:200],
            "status": attributes.get("http.response.status_code", 0),
            "request_id": attributes.get("request_id", ""),
        }
    elif span.kind is SpanKind.CONSUMER:
        said = {
            "type": "tasks",
            "name": attributes.get("celery.task_name", span.name),
            "id": attributes.get("messaging.message.id", ""),
            "state": attributes.get("celery.state", "UNKNOWN"),
            "attempt": int(attributes.get("celery.retries", 0)) + 1,
        }
    elif span.parent is None and span.kind is SpanKind.INTERNAL:
        said = {"type": "commands", "name": span.name}
    else:
        return None
    start, end = span.start_time or 0, span.end_time or 0
    return {
        "at": start / 1e9,
        "ms": round((end - start) / 1e6, 2),
        "tenant": attributes.get("tenant", ""),
        "failed": span.status.status_code is StatusCode.ERROR,
        **said,
    }
