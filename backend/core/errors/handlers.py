"""How exceptions and refusals become problem details."""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import select_template
from django.views.csrf import csrf_failure as django_csrf_failure
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from core.errors.problem_details import (
    CONTENT_TYPE,
    ContentTooLarge,
    Refusal,
    document,
    problem,
    request_id,
    unavailable,
)
from core.errors.unavailable import as_unavailable

# --- the API's views ----------------------------------------------------------------------


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an exception of a view; None leaves it to Django, which logs it and answers 500.

    https://www.django-rest-framework.org/api-guide/exceptions/
    """
    if isinstance(error, Refusal):
        set_rollback()
        return Response(
            document(error.status, str(error)), status=error.status, content_type=CONTENT_TYPE
        )
    if isinstance(error, ObjectDoesNotExist):  # services look things up with get()
        error = Http404()
    if isinstance(error, RequestDataTooBig):
        error = ContentTooLarge()
    elif isinstance(error, SuspiciousOperation):
        error = exceptions.ParseError("The request is malformed or too large.")
    response = exception_handler(error, context)
    if response is None:
        return None
    response.data = _document_of(error, response)
    response.content_type = CONTENT_TYPE
    return response


def _document_of(error: Exception, response: Response) -> dict[str, object]:
    if isinstance(error, exceptions.ValidationError):
        errors = response.data if isinstance(response.data, dict) else {"": response.data}
        return document(response.status_code, "The request is not valid.", errors=errors)
    if isinstance(error, Http404):
        return document(404, "There is nothing here that you may see.")
    detail = response.data.get("detail", "") if isinstance(response.data, dict) else ""
    return document(response.status_code, str(detail))


# --- what Django itself refuses -----------------------------------------------------------
# https://docs.djangoproject.com/en/5.2/ref/urls/#handler400


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return problem(400, "The request is malformed.")
    return _page(400, "The request is malformed.")


def permission_denied(request: HttpRequest, exception: PermissionDenied) -> HttpResponse:
    if _is_api(request):
        return problem(403, "You may not do this.")
    return _page(403, "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return problem(404, f"There is nothing at {request.path}.")
    return _page(404, "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles the exception. Those of views do not come here:
    # core.middleware.UnavailableMiddleware.
    if found := as_unavailable(sys.exc_info()[1]):
        return unavailable(found)
    if _is_api(request):
        return problem(500, "This is our fault, and it is logged. X-Request-ID names the line.")
    return _page(500, "This is our fault, and it is logged.")


def _page(status: int, detail: str) -> HttpResponse:
    """Return an error page; a template of the status, e.g. 404.html, replaces core's."""
    template = select_template([f"{status}.html", "core/error.html"])
    context = {
        "title": HTTPStatus(status).phrase,
        "detail": detail,
        "request_id": request_id(),
    }
    return HttpResponse(template.render(context), status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if _is_api(request):
        return problem(403, reason)
    return django_csrf_failure(request, reason)
