"""The landing page."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Show whose site this is and where to go from here."""
    tenant = getattr(request, "tenant", None)
    name = tenant.name if tenant else "Operators"
    return render(request, "core/landing.html", {"site": name, "schema": connection.schema_name})
