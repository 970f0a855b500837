"""What is decided about a request before any view sees it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from core.errors.problem_details import Unavailable, problem, unavailable
from core.errors.unavailable import as_unavailable
from core.tenancy import has_application, in_a_tenant

log = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]


class ForwardedHeadersMiddleware:
    """Removes the X-Forwarded-* headers of everyone but the configured proxy.

    They decide whether a request counts as encrypted and whose it is, and anybody may write them.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not (settings.PROXY_COUNT and self._is_from_proxy(request)):
            for name in [name for name in request.META if name.startswith("HTTP_X_FORWARDED_")]:
                del request.META[name]
        return self.get_response(request)

    def _is_from_proxy(self, request: HttpRequest) -> bool:
        try:
            sender = ip_address(request.META.get("REMOTE_ADDR", ""))
        except ValueError:
            return False
        return any(sender in network for network in settings.PROXY_NETWORKS)


class ProbeHostMiddleware:
    """Lets probes ask for health under any name: a load balancer knows only web's address."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        names = [host.removeprefix(".") for host in settings.ALLOWED_HOSTS if host != "*"]
        self.allowed_host = next(iter(names), "localhost")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(settings.HEALTH_PATH):
            request.META["HTTP_HOST"] = self.allowed_host
        return self.get_response(request)


class HostMiddleware:
    """Answers 400 to a request under a name that is not in ALLOWED_HOSTS, before anything else.

    Django's own answer shows the settings where DEBUG is on, to any web page that makes its
    name resolve to this machine.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            request.get_host()
        except DisallowedHost:
            log.warning("unknown host", host=request.META.get("HTTP_HOST", "")[:255])
            return problem(400, "Unknown host; ALLOWED_HOSTS lists the names that are answered.")
        return self.get_response(request)


class BodyLimitMiddleware:
    """Answers 413 to a body larger than REQUEST_BODY_LIMIT, before anything reads it.

    Django limits the fields of a form, but neither JSON nor the sum of the files. Under WSGI it
    reads a body without a length, which is sent in chunks, as an empty one: answered 411.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return problem(411, "Send Content-Length; bodies in chunks are not accepted.")
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.REQUEST_BODY_LIMIT
        if length.isdecimal() and int(length) > limit:
            return problem(413, f"The request's body is larger than {limit} bytes.")
        return self.get_response(request)


class TenantOnlyMiddleware:
    """Answers 404 on the operators' host for what has its tables in tenants only."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *arguments: Any
    ) -> HttpResponse | None:
        if in_a_tenant() or not _is_of_tenants_only(getattr(view, "func", view)):
            return None
        return problem(404, "The operators' host does not have this; ask at a tenant's.")


@lru_cache(1000)  # each look-up compares the view's module with every application's
def _is_of_tenants_only(view: Callable[..., HttpResponse]) -> bool:
    model = _model_given_to(view)
    found = model._meta.app_config if model else apps.get_containing_app_config(view.__module__)
    return found is not None and not has_application(found.label)


def _model_given_to(view: Callable[..., HttpResponse]) -> type[Model] | None:
    """Return the model of a generic view that was made in a URL file, if it has one.

    Such a view is of the module of its class, django.views.generic or rest_framework.generics.
    """
    given = getattr(view, "view_initkwargs", None) or getattr(view, "initkwargs", None) or {}
    return given.get("model") or getattr(given.get("queryset"), "model", None)


class UnavailableMiddleware:
    """Answers 503 where a view needed what does not answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        found = error if isinstance(error, Unavailable) else as_unavailable(error)
        return unavailable(found) if found else None
