"""The pages of the workbench.

They are answered without a tenant, because they show what is down, also the database.
"""

from __future__ import annotations

import threading
import time
from zlib import crc32

import redis
from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from core import views as core_views
from tenants.middleware import enter
from workbench import mail, state

HUES = 6  # of stacks, in workbench.css
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
        "hue": crc32(settings.STACK_NAME.encode()) % HUES,
        "single": settings.SINGLE_TENANT,
        "live": live_part(request),
    }
    return render(request, "workbench/home.html", context)


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """Show the part that changes; the page asks for it again and again."""
    return HttpResponse(live_part(request))


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
