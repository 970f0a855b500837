"""One line in the log for each request, when it ends, with all that is known of it.

Its id goes back to the client, so that a report can be found in the log, and to the tasks that
the request sends.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from random import getrandbits
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import got_request_exception
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from django_structlog.middlewares import request as request_middleware
from rest_framework.throttling import BaseThrottle

from core.logging import QUIET_PATHS
from core.middleware import GetResponse

log = structlog.get_logger(__name__)

LEVELS = {4: logging.WARNING, 5: logging.ERROR}  # by the first digit of the status
# Believes as many proxies as the limits of log-ins do: NUM_PROXIES.
_client_of: Callable[[Any], str] = BaseThrottle().get_ident


class RequestLogMiddleware:
    """Outermost, so that it logs also what other middleware answers."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        # Also the id of its trace, of which all bits are random.
        request_id = str(UUID(int=getrandbits(128)))
        structlog.contextvars.bind_contextvars(request_id=request_id, ip=_client_of(request))
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            level = LEVELS.get(response.status_code // 100, logging.INFO)
            quiet = level == logging.INFO and request.path.startswith(QUIET_PATHS)
            if not quiet and not hasattr(request, "failed"):
                structlog.contextvars.bind_contextvars(user_id=_user_of(request))
                duration = round((time.perf_counter() - began) * 1000, 1)
                log.log(
                    level,
                    "request_finished",
                    request=_described(request),
                    code=response.status_code,
                    bytes=_length_of(response),
                    duration_ms=duration,
                )
                _log_stream(request, response)
        finally:
            structlog.contextvars.clear_contextvars()
        return response


@receiver(got_request_exception)
def log_failure(request: HttpRequest, **kwargs: Any) -> None:
    """Log an exception that no view expected, while Django handles it, with its traceback."""
    if not isinstance(sys.exc_info()[1], Http404 | PermissionDenied):
        request.failed = True  # type: ignore[attr-defined]
        log.exception(
            "request_failed", request=_described(request), code=500, user_id=_user_of(request)
        )


def _described(request: HttpRequest) -> str:
    return f"{request.method} {request.get_full_path()}"


def _user_of(request: HttpRequest) -> Any:
    """Return the id of the user that the request is known to be of; a line is worth no query."""
    user = request.__dict__.get("user")
    if type(user) is SimpleLazyObject:  # nobody has asked for it, or Django remembers the answer
        user = request.__dict__.get("_cached_user")
    return getattr(user, "pk", None)


def _length_of(response: HttpResponse) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _log_stream(request: HttpRequest, response: Any) -> None:
    """Log the end of a response that is read while it is sent; its lines have their context."""
    if not response.streaming:
        return
    is_file = getattr(response, "file_to_stream", None) is not None
    if isinstance(request, ASGIRequest) and not response.is_async:
        response.streaming_content = _part_by_part(response.streaming_content)
    if not is_file:
        context = structlog.contextvars.get_contextvars() | {"request": _described(request)}
        kind = "async" if response.is_async else "sync"
        wrap = getattr(request_middleware, f"{kind}_streaming_content_wrapper")
        response.streaming_content = wrap(response.streaming_content, context)


async def _part_by_part(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read in the request's thread; under ASGI Django would read all before it sends any."""
    while (part := await sync_to_async(lambda: next(content, None))()) is not None:
        yield part
