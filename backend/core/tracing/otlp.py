"""Spans for a collector, by OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from core.tracing.privacy import LOCAL, LOCAL_EVENTS, clean

TIMEOUT = 5  # seconds for a request to the collector, with its retries


def processor() -> BatchSpanProcessor:
    """Return what sends spans from a thread; while the collector hangs, the oldest are dropped."""
    return BatchSpanProcessor(
        Discreet(
            OTLPSpanExporter(
                f"{settings.TRACES_ENDPOINT}/v1/traces",
                headers=settings.TRACES_HEADERS,
                timeout=TIMEOUT,
            )
        )
    )


class Discreet(SpanExporter):
    """Hands on spans without what must not leave the process."""

    def __init__(self, to: SpanExporter) -> None:
        self._to = to

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._to.export([_discreet(span) for span in spans])

    def shutdown(self) -> None:
        self._to.shutdown()


def _discreet(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=clean(span.attributes, LOCAL),
        events=[
            Event(event.name, clean(event.attributes, LOCAL), event.timestamp)
            for event in span.events
            if event.name not in LOCAL_EVENTS
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),  # its description has the exception's text
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
