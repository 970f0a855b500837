"""The choice of a tenant, for a browser that has no host name to choose with.

A Codespaces address has no subdomains: there the cookie set here takes the host's place.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from tenants.models import Tenant
from tenants.operators import Operators


@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest) -> HttpResponse:
    """Show the tenants; on POST remember the chosen one and go to `next`.

    Raises:
        Http404: where the contract does not let a client choose, or there is one tenant only.
    """
    if settings.SINGLE_TENANT or not settings.TENANT_HEADER:
        raise Http404
    connection.set_schema_to_public()
    places = list(Tenant.objects.filter(is_active=True))
    if settings.OPERATIONS_HOST:
        places.append(Operators())
    if request.method == "POST":
        return _remember(request, {place.schema_name for place in places})
    context = {
        "places": places,
        "chosen": request.COOKIES.get(settings.TENANT_COOKIE_NAME, settings.TENANT_DEFAULT),
        "next": _next(request.GET),
    }
    return render(request, "tenants/choose.html", context)


def _remember(request: HttpRequest, names: set[str]) -> HttpResponse:
    name = request.POST.get("tenant", "")
    if name not in names:
        raise Http404
    response = HttpResponseRedirect(_next(request.POST))
    response.set_cookie(
        settings.TENANT_COOKIE_NAME, name, httponly=True, samesite="Lax", secure=request.is_secure()
    )
    return response


def _next(values: QueryDict) -> str:
    """Return the path to go to; one of another site is not followed."""
    path = values.get("next", "")
    return path if url_has_allowed_host_and_scheme(path, allowed_hosts=None) else "/admin/"
