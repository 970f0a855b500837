"""Which libraries are traced, which spans begin a trace, and what each span carries."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
import wrapt
from django.conf import settings
from django.db import connection
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import SpanKind, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.tracing import mail, queries
from core.tracing.context import TENANT

# Stable names of attributes: db.query.text rather than db.statement.
# https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/
STABLE_NAMES = {"OTEL_SEMCONV_STABILITY_OPT_IN": "database"}

LIMITS = SpanLimits(
    max_events=64,
    max_span_attributes=48,
    max_event_attributes=8,
    max_attribute_length=queries.LONGEST,
)


def instrument() -> None:
    """Trace this process: before its middleware and its clients are made."""
    os.environ.update(STABLE_NAMES)
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    processors = SynchronousMultiSpanProcessor()
    trace.set_tracer_provider(_provider(processors))
    # Without baggage, which nothing here carries.
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    # What another name than ours is asked for is no request of ours.
    position = settings.MIDDLEWARE.index("core.middleware.HostMiddleware") + 1
    settings.MIDDLEWARE.insert(position, "core.tracing.middleware.Middleware")
    RedisInstrumentor().instrument()
    CeleryInstrumentor().instrument()
    queries.Queries(processors).instrument()
    mail.instrument()
    # Only where it is used: it is slow to import.
    wrapt.register_post_import_hook(_instrument_botocore, "botocore.client")
    if settings.TRACES_ENDPOINT:
        from core.tracing import otlp

        provider().add_span_processor(otlp.processor())


def provider() -> TracerProvider:
    """Return what makes this process's spans, after `instrument`."""
    found = trace.get_tracer_provider()
    assert isinstance(found, TracerProvider)  # noqa: S101  # for the types
    return found


def flush() -> None:
    """Hand over the spans that wait; nothing before `instrument`."""
    made = trace.get_tracer_provider()
    if isinstance(made, TracerProvider):
        made.force_flush()


def service() -> str:
    """Return what this process is: web, worker, or a command of manage.py."""
    program, *words = sys.argv
    for found, name in (("celery", "worker"), ("gunicorn", "web")):
        if found in program:
            return name
    command = words[0] if words else "shell"
    return "web" if command == "runserver" else command


def name() -> str:
    """Return the name of this process's service for the collector."""
    return f"{settings.TRACES_SERVICE}-{service()}"


def _provider(processors: SynchronousMultiSpanProcessor) -> TracerProvider:
    return TracerProvider(
        active_span_processor=processors,
        sampler=Sampling(settings.TRACES_SHARE),
        resource=Resource({SERVICE_NAME: name()}),
        id_generator=RequestIds(),
        span_limits=LIMITS,
    )


class Sampling(Sampler):
    """Lets requests, tasks and commands begin a trace; gives each span its tenant.

    A query or a call of Redis that belongs to none of them begins none: the worker asks its broker
    for ever, and probes ask everything. In one class, because each span pays for each call.
    """

    def __init__(self, share: float) -> None:
        self._below = TraceIdRatioBased.get_bound_for_rate(share)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Any = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if parent.is_valid:
            sampled = parent.trace_flags.sampled
        else:
            low = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT
            sampled = kind is not SpanKind.CLIENT and low < self._below
        if not sampled:
            return _DROPPED
        given = dict(attributes or {})
        if TENANT not in given:
            given[TENANT] = connection.schema_name  # type: ignore[attr-defined]
        if kind is SpanKind.SERVER and parent.is_remote:
            # Its client began the trace; many requests may share that id.
            given["request_id"] = format(_request_id(), "032x")
        return SamplingResult(Decision.RECORD_AND_SAMPLE, given, parent.trace_state)

    def get_description(self) -> str:
        return "Sampling"


_DROPPED = SamplingResult(Decision.DROP)


class RequestIds(RandomIdGenerator):
    """Gives the trace of a request the request's id, so that one finds the other."""

    def generate_trace_id(self) -> int:
        return _request_id() or super().generate_trace_id()


def _request_id() -> int:
    """Return the id of the request that this is of, or 0."""
    try:
        return UUID(structlog.contextvars.get_contextvars().get("request_id", "")).int
    except ValueError:
        return 0


def _instrument_botocore(module: Any) -> None:
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    BotocoreInstrumentor().instrument()
