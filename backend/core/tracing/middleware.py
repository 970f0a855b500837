"""OpenTelemetry's middleware of Django, which resolves no address twice.

It looks for the view when the request begins, to name the span, as Django does afterwards: half of
what a traced request would cost. Here the view that Django has found names the span.

It also builds the request's address three times, to see whether it is excluded: here once, and
what began no span is left alone.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.django.middleware import otel_middleware
from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware

# Django's META has under ASGI what the library reads under WSGI; its other way needs one more
# package, and reads the headers once more.
otel_middleware._is_asgi_request = lambda request: False


class Instrumentor(DjangoInstrumentor):
    _opentelemetry_middleware = f"{__name__}.Middleware"


class Middleware(_DjangoMiddleware):
    @staticmethod
    def _get_span_name(request: HttpRequest) -> str:
        return request.method or "HTTP"

    def process_view(self, request: HttpRequest, *arguments: Any, **options: Any) -> None:
        span, match = request.META.get(self._environ_span_key), request.resolver_match
        if span is None:
            return
        super().process_view(request, *arguments, **options)  # type: ignore[no-untyped-call]
        if match is not None and (match.route or match.url_name):
            span.update_name(f"{request.method} {match.route or match.url_name}")

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if self._environ_span_key not in request.META:
            return response
        found: HttpResponse = super().process_response(request, response)  # type: ignore[no-untyped-call]
        return found
