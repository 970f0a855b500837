"""The landing page, and the end of the API's addresses."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularSwaggerSplitView

from core.errors.problem_details import problem


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Show whose site this is and where to go from here."""
    return render(request, "core/landing.html", site(request))


def site(request: HttpRequest) -> dict[str, str]:
    """Return whose site a request is for, by its name and by its schema."""
    tenant = getattr(request, "tenant", None)
    name = tenant.name if tenant else "Operators"
    return {"site": name, "schema": connection.schema_name}


@method_decorator(csp_replace({"style-src": [SELF, UNSAFE_INLINE]}), name="dispatch")
class ApiPage(SpectacularSwaggerSplitView):
    """The API's page. Its script is a separate file; Swagger UI styles elements in place."""


@csrf_exempt
def no_such_api(request: HttpRequest) -> HttpResponse:
    """Answer 404 like the API, also where Django would show its debug page.

    Who only reads and forgot the slash at the end is sent to the right address.
    """
    if not request.path.endswith("/") and _exists(f"{request.path_info}/"):
        address = request.get_full_path(force_append_slash=True)
        if request.method in ("GET", "HEAD"):
            return HttpResponsePermanentRedirect(address)
        return problem(404, f"There is nothing at {request.path}; did you mean {address}?")
    return problem(404, f"There is nothing at {request.path}.")


def _exists(path: str) -> bool:
    try:
        return resolve(path).func is not no_such_api
    except Resolver404:
        return False
