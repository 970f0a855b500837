"""A request of four spans: itself and three queries."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from core.urls import urlpatterns as usual


def four_spans(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for _ in range(3):
            cursor.execute("SELECT %s", [1])
    return HttpResponse("ok")


urlpatterns = [path("bench/spans/", four_spans), *usual]
