"""Errors in one shape: problem details, RFC 9457.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from django.http import JsonResponse
from rest_framework.exceptions import APIException

CONTENT_TYPE = "application/problem+json"


class Refusal(Exception):
    """A service refuses the request; the text is shown to the client.

    Attributes:
        status: HTTP status code of the answer.
    """

    status: int


class Conflict(Refusal):
    """The request is sound, but the present state of things refuses it."""

    status = 409


class Unprocessable(Refusal):
    """The request is well-formed, but contradicts what the client sent before."""

    status = 422


class ContentTooLarge(APIException):
    """The body is larger than is read. Answered 413."""

    status_code = 413
    default_detail = "The request's body is too large."


class Unavailable(APIException):
    """Something that the answer depends on is down for now. Answered 503, with Retry-After.

    The text is shown to the client.
    """

    status_code = 503
    wait = 5  # seconds; Django REST framework writes the header from it


def document(status: int, detail: str, **extra: object) -> dict[str, object]:
    """Return the members of a problem document, with the id of the request.

    Args:
        status: HTTP status code; also gives the title.
        detail: what is wrong with this request, and how to fix it.
        extra: further members.
    """
    title = HTTPStatus(status).phrase
    made: dict[str, object] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if known := request_id():
        made["request_id"] = known
    return made | extra


def request_id() -> str:
    """Return the id of the request that is being answered, or nothing: X-Request-ID."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def problem(status: int, detail: str, **extra: object) -> JsonResponse:
    """Return a problem document as Django's response; arguments as of `document`."""
    return JsonResponse(document(status, detail, **extra), status=status, content_type=CONTENT_TYPE)


def unavailable(error: Unavailable) -> JsonResponse:
    """Return the answer to an error where no view of the API makes it."""
    answer = problem(error.status_code, str(error))
    answer.headers["Retry-After"] = str(error.wait)
    return answer
