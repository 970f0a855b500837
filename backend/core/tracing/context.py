"""What the code beside the instrumentations says of the span that it runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from opentelemetry import context, trace

TENANT = "tenant"  # attribute of each span

_tracer = trace.get_tracer("homeport")


def tag_tenant() -> None:
    """Give the present span the tenant that was entered after it began."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute(TENANT, connection.schema_name)  # type: ignore[attr-defined]


@contextmanager
def traced(name: str) -> Iterator[trace.Span]:
    """Trace what runs in the block as one span, of which those inside are parts."""
    with _tracer.start_as_current_span(name) as span:
        yield span


@contextmanager
def unleaked() -> Iterator[None]:
    """Restore the present span after the block.

    Celery's instrumentation leaves its own in place when a task cannot be sent, and a thread of the
    worker would go on in it for ever.
    """
    token = context.attach(context.get_current())
    try:
        yield
    finally:
        context.detach(token)
