"""A site with the mistakes that people make: raw SQL, exceptions, threads, late reads.

Tests serve it instead of core.urls.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import ProgrammingError, connection, transaction
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django_tenants.utils import schema_context
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from core.urls import urlpatterns as correct
from tenants.context import in_this_tenant
from tenants.tests.logins import POOL
from users.models import User

STATE = (
    "CREATE TEMP TABLE IF NOT EXISTS users_user AS SELECT * FROM users_user",
    "GRANT ALL ON users_user TO PUBLIC",
    "CLOSE ALL",
    "DECLARE kept CURSOR WITH HOLD FOR SELECT 1",
    "DEALLOCATE ALL",
    "PREPARE kept AS SELECT 1",
    "LISTEN news",
    "SELECT pg_try_advisory_lock(7)",
    "SET site.secret = 'mine'",
    "SET statement_timeout = '1h'",
    "SET TimeZone = 'Asia/Tokyo'",
    "BEGIN",
)
if POOL:
    STATE = tuple(statement for statement in STATE if statement != "LISTEN news")  # refused
FIND_STATE = """
SELECT 'temporary table' FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'
UNION ALL SELECT 'held cursor' FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'prepared statement' FROM pg_prepared_statements
UNION ALL SELECT 'channel' FROM pg_listening_channels()
UNION ALL SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'secret' WHERE current_setting('site.secret', true) <> ''
UNION ALL SELECT 'timeout' WHERE current_setting('statement_timeout') = '1h'
UNION ALL SELECT 'time zone' WHERE current_setting('TimeZone') <> 'UTC'
UNION ALL SELECT 'transaction' WHERE now() <> statement_timestamp()"""


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


def content_types(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"right": content_type_is_right()})


def content_type_is_right() -> bool:
    """Compare what Django remembers of the content types with what is in the database."""
    remembered = ContentType.objects.get_for_model(User)
    found = ContentType.objects.filter(app_label="users", model="user").get()
    return remembered.pk == found.pk


async def asynchronous(request: HttpRequest) -> JsonResponse:
    """Ask in each way that an async view has, several at once."""
    cache.set("of", connection.schema_name)
    loop = asyncio.get_running_loop()
    in_threads = (asyncio.to_thread(given_back, whereabouts) for _ in range(2))
    places = await asyncio.gather(
        sync_to_async(whereabouts)(),
        *in_threads,
        asyncio.create_task(sync_to_async(given_back, thread_sensitive=False)(whereabouts)),
    )
    stray = await loop.run_in_executor(None, given_back, whereabouts_or_none)
    return JsonResponse({
        "roles": [place["role"] for place in places],
        "users": [place["users"] for place in places],
        "cached": await asyncio.to_thread(cache.get, "of"),
        "content type": await asyncio.to_thread(given_back, content_type_is_right),
        **({"stray": stray} if stray else {}),
    })  # fmt: skip


def whereabouts_or_none() -> dict[str, object] | None:
    """Return where code is that was given to a thread without its context; it must be nowhere."""
    try:
        return whereabouts()
    except ProgrammingError:
        return None


def given_back(function: Callable[[], Any]) -> Any:
    """Call it, and close the connection of its thread: core/asgi_worker.py does that by itself."""
    try:
        return function()
    finally:
        connection.close()


async def asynchronously_enters_another_tenant(request: HttpRequest) -> JsonResponse:
    ask = sync_to_async(users)
    entered, asked = asyncio.Event(), asyncio.Event()

    async def beside() -> list[str]:
        await entered.wait()
        found = await ask()
        asked.set()
        return found

    task = asyncio.create_task(beside())
    with schema_context("test2"):
        entered.set()
        inside = await ask()
        await asked.wait()
    return JsonResponse({"inside": inside, "outside": await ask(), "beside": await task})


def stream_asynchronously(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(3):
            names = User.objects.values_list("first_name", flat=True).order_by("first_name")
            yield ",".join([name async for name in names.aiterator(chunk_size=1)]) + "\n"

    return StreamingHttpResponse(lines())


async def waits(request: HttpRequest) -> JsonResponse:
    """Keep the connection that was used for a while, in which the client may leave."""
    found = await sync_to_async(users)()
    await asyncio.sleep(0.2)
    return JsonResponse({"users": found})


def leaves_state(request: HttpRequest) -> JsonResponse:
    """Leave in the session of the database all that one can; a pool's, in one transaction."""
    with transaction.atomic() if POOL else nullcontext(), connection.cursor() as cursor:
        for statement in STATE:
            cursor.execute(statement)
    return JsonResponse({})


def finds_state(request: HttpRequest) -> JsonResponse:
    """Return what is in the session of the database at the beginning of a request."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_STATE)
        return JsonResponse({"found": [kind for (kind,) in cursor.fetchall()]})


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
    path("content-types/", content_types),
    path("asynchronous/", asynchronous),
    path("asynchronously-enters-another-tenant/", asynchronously_enters_another_tenant),
    path("stream-asynchronously/", stream_asynchronously),
    path("waits/", waits),
    path("leaves-state/", leaves_state),
    path("finds-state/", finds_state),
    path("me/", me),
]
