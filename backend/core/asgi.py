"""The ASGI application that bin/web serves where SERVER is asgi."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import get_resolver

from core import health
from core.database_limits import limit_sessions, share_connections
from core.env import environment
from core.middleware import GetResponse

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def in_one_thread(get_response: GetResponse) -> GetResponse:
    """Keep all middleware in the request's thread, as the innermost that is synchronous only.

    Django's can be both, and would change threads for each of their methods.
    """
    return lambda request: get_response(request)


settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.in_one_thread"]
_django: Any = get_asgi_application()
limit_sessions(environment()["WEB_DATABASE_LIMITS"])
share_connections(environment()["WEB_THREADS"])
get_resolver().url_patterns  # noqa: B018  # for the reason in core/wsgi.py
health.prepare()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Answer a request as Django does."""
    await _django(scope, _limited(receive), send)


def _limited(receive: Receive) -> Receive:
    """Return what ends a body that is too long, and drops the rest.

    Under ASGI Django stores the whole body before any middleware can answer 413.
    """
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        is_over = received > settings.REQUEST_BODY_LIMIT
        message = await receive()
        while is_over and message["type"] == "http.request":
            message = await receive()
        received += len(message.get("body", b""))
        return message if received <= settings.REQUEST_BODY_LIMIT or is_over else _END

    return receive_limited


_END: Message = {"type": "http.request"}
