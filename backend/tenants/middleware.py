"""Puts each request into its tenant before anything else can touch the database."""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from core import tracing
from core.errors.problem_details import problem, unavailable
from core.errors.unavailable import as_unavailable
from tenants.migration import migrations_on_disk
from tenants.postgresql.base import TenantGone
from tenants.resolution import HEADER, SuspendedTenant, UnknownTenant, forget, resolve


class TenantMiddleware:
    """Sets `request.tenant` and the connection's schema and role.

    Answers 404 for an unknown tenant and 403 for a suspended one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.free_paths = re.compile("|".join(settings.TENANT_FREE_PATHS))
        # Load them before Gunicorn forks: the health check compares them with the database, and a
        # later read could find files that differ from the code in this process.
        migrations_on_disk()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._answer(request)
        if connection.shares and not connection.in_atomic_block:
            connection.close()  # for others, however long the client takes to read the answer
        if settings.TENANT_HEADER and not settings.SINGLE_TENANT:
            # A shared cache must not give one tenant's page to another.
            patch_vary_headers(response, [HEADER, "Cookie"])
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, TenantGone):
            return None
        forget()  # another one may have the name by now
        return problem(404, "There is no such tenant any more.")

    def _answer(self, request: HttpRequest) -> HttpResponse:
        connection.set_schema_to_public()
        if self.free_paths.match(request.path):
            return self.get_response(request)
        try:
            refusal = enter(request)
        except Exception as error:
            if found := as_unavailable(error):
                return unavailable(found)
            raise
        return refusal or self.get_response(request)


def enter(request: HttpRequest) -> HttpResponse | None:
    """Put the request into its tenant; return the refusal where there is none to enter."""
    try:
        request.tenant = resolve(request)
    except UnknownTenant as error:
        return problem(404, str(error))
    except SuspendedTenant as error:
        return problem(403, str(error))
    connection.set_tenant(request.tenant)
    structlog.contextvars.bind_contextvars(tenant=request.tenant.schema_name)
    tracing.tag_tenant()
    return None
