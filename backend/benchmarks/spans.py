"""A request of four spans: itself and three queries; and four of the library, empty, beside it."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from opentelemetry.sdk.trace import TracerProvider

from core.urls import urlpatterns as usual


def four_spans(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for _ in range(3):
            cursor.execute("SELECT %s", [1])
    return HttpResponse("ok")


_tracer = TracerProvider().get_tracer(__name__)


def four_empty_spans(request: HttpRequest) -> HttpResponse:
    with _tracer.start_as_current_span("request"):
        for _ in range(3):
            with _tracer.start_as_current_span("query"):
                pass
        return four_spans(request)


urlpatterns = [
    path("bench/spans/", four_spans),
    path("bench/empty-spans/", four_empty_spans),
    *usual,
]
