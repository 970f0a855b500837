"""A site with the mistakes that people make: raw SQL, exceptions, threads, late reads.

Tests serve it instead of core.urls.
"""

from concurrent.futures import ThreadPoolExecutor

from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from core.urls import urlpatterns as correct
from tenants.context import in_this_tenant
from users.models import User


def whereabouts() -> dict[str, object]:
    """Return what the database itself says about this connection, and whose accounts it sees."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text, current_schema(), pg_backend_pid()")
        role, schema, pid = cursor.fetchone()
    return {"role": role, "schema": schema, "pid": pid, "users": users()}


def users() -> list[str]:
    return sorted(User.objects.values_list("first_name", flat=True))


def here(request: HttpRequest) -> JsonResponse:
    return JsonResponse(whereabouts())


def raw(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(request.GET["sql"])
        return JsonResponse({"rows": cursor.fetchall()})


def breaks(request: HttpRequest) -> JsonResponse:
    whereabouts()
    raise RuntimeError("a mistake")


def breaks_in_transaction(request: HttpRequest) -> JsonResponse:
    with transaction.atomic():
        whereabouts()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")
    return JsonResponse({})


def enters_another_tenant(request: HttpRequest) -> JsonResponse:
    connection.set_schema("test2")
    return JsonResponse(whereabouts())


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(",".join(users()) + "\n" for _ in range(3))


def thread(request: HttpRequest) -> JsonResponse:
    def work() -> list[str]:
        try:
            return users()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        wrapped = in_this_tenant(work) if "wrapped" in request.GET else work
        return JsonResponse({"users": pool.submit(wrapped).result()})


@api_view()
def me(request: Request) -> Response:
    return Response({"name": request.user.first_name})


urlpatterns = [
    *correct,
    path("here/", here),
    path("raw/", raw),
    path("breaks/", breaks),
    path("breaks-in-transaction/", breaks_in_transaction),
    path("enters-another-tenant/", enters_another_tenant),
    path("stream/", stream),
    path("thread/", thread),
    path("me/", me),
]
