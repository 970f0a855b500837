"""Each request as a span and as a measurement, with the names of the semantic conventions.

OpenTelemetry's middleware of Django costs four times as much: it resolves the request's address,
builds it five times, and reads each header in search of what this leaves out.
https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode

# Of others anyone may invent any number, and each would be a series of figures.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

Said = dict[str, str | int]

_tracer = trace.get_tracer("homeport.requests")


class Middleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.excluded = re.compile("|".join(settings.TRACES_EXCLUDED))
        self.duration = metrics.get_meter("homeport.requests").create_histogram(
            "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=BUCKETS
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.excluded.match(request.path):
            return self.get_response(request)
        began = time.perf_counter()
        method = request.method if request.method in METHODS else "_OTHER"
        said: Said = {"http.request.method": method, "url.scheme": request.scheme or "http"}
        with _tracer.start_as_current_span(
            method, _caller(request), SpanKind.SERVER, {**said, "url.path": request.path}
        ) as span:
            response = self.get_response(request)
            found: Said = {"http.response.status_code": response.status_code}
            if (match := request.resolver_match) and match.route:
                found["http.route"] = match.route
                span.update_name(f"{method} {match.route}")
            if response.status_code >= 500:
                found["error.type"] = str(response.status_code)
                span.set_status(StatusCode.ERROR, getattr(request, "failed_with", None))
            span.set_attributes(found)
        self.duration.record(time.perf_counter() - began, said | found)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> None:
        trace.get_current_span().record_exception(error)
        request.failed_with = f"{type(error).__name__}: {error}"  # type: ignore[attr-defined]


def _caller(request: HttpRequest) -> Context | None:
    """Return the context of the span that the request's client began, if it says so."""
    if "HTTP_TRACEPARENT" not in request.META:
        return None
    names = ("traceparent", "tracestate")
    return propagate.extract({name: request.headers.get(name, "") for name in names})
