"""The pages of the workbench.

They are answered without a tenant, because they show what is down, also the database.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from zlib import crc32

import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from core import streams
from core import views as core_views
from core.health import server_name
from tenants.middleware import enter
from workbench import mail, state

HUES = 6  # of stacks, in workbench.css
EVERY = 2.0  # seconds between events; workbench.js asks as often where there are none
KEEP = 1.0  # seconds for which a rendered page is good enough, however many ask


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Show everything, and whose site this address is."""
    answered_for = {"site": "Homeport", "schema": ""}
    if state.database_answers():
        try:
            if refusal := enter(request):
                return refusal
            answered_for = core_views.site(request)
        except DatabaseError:
            pass  # it went down just now; the page says so
    context = {
        **answered_for,
        "stack": settings.STACK_NAME,
        "hues": divmod(crc32(settings.STACK_NAME.encode()) % HUES**2, HUES),
        "single": settings.SINGLE_TENANT,
        "live": live_part(request),
        "sends_events": server_name(request) == "asgi",
    }
    return render(request, "workbench/home.html", context)


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """Show the part that changes; the page asks for it again and again."""
    return HttpResponse(live_part(request))


@require_safe
@never_cache
async def events(request: HttpRequest) -> StreamingHttpResponse:
    """Send the part that changes to a page that listens, as long as it does."""
    if server_name(request) != "asgi":
        raise Http404("Only ./dev serve asgi sends events; the page asks the other servers.")

    async def parts() -> AsyncIterator[str]:
        while not streams.stopping.is_set():
            part = await sync_to_async(live_part)(request)
            yield f"data: {json.dumps(part)}\n\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(streams.stopping.wait(), EVERY)

    return StreamingHttpResponse(parts(), content_type="text/event-stream")


@require_safe
@never_cache
def message(request: HttpRequest, key: str) -> HttpResponse:
    """Show a kept e-mail."""
    return render(request, "workbench/message.html", {"message": _message(key)})


@require_safe
@never_cache
@xframe_options_sameorigin
def message_html(request: HttpRequest, key: str) -> HttpResponse:
    """Show the HTML of a kept e-mail, which may do nothing and load nothing."""
    response = HttpResponse(_message(key).html)
    response["Content-Security-Policy"] = (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    return response


def _message(key: str) -> mail.Message:
    try:
        found = mail.read(key)
    except redis.RedisError as error:
        raise Http404(f"Redis, which keeps the e-mails, does not answer: {error}") from error
    if found is None:
        raise Http404("This e-mail is no longer kept: only the last ones are.")
    return found


# --- rendered once, however many look ------------------------------------------------------

_lock = threading.Lock()
_rendered: dict[str, tuple[float, str]] = {}  # by the host, which the links depend on


def live_part(request: HttpRequest) -> str:
    """Return the live part's HTML, rendered at most once in `KEEP` seconds for a host."""
    host = f"{request.scheme}://{request.get_host()}"
    with _lock:
        known = _rendered.get(host)
        if known and time.monotonic() - known[0] < KEEP:
            return known[1]
        html = render_to_string("workbench/live.html", state.gather(request))
        if len(_rendered) > 50:  # hosts are anybody's to invent below .localhost
            _rendered.clear()
        _rendered[host] = (time.monotonic(), html)
        return html
