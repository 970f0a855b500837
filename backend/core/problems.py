"""Errors in one shape: problem details, RFC 9457."""

from http import HTTPStatus

from django.http import JsonResponse


def problem(status: int, detail: str, **extra: object) -> JsonResponse:
    """Return a problem document.

    Args:
        status: HTTP status code; also gives the title.
        detail: what is wrong with this request, and what would mend it.
        extra: further members of the document.

    Source: https://www.rfc-editor.org/rfc/rfc9457
    """
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JsonResponse(
        body | {"detail": detail, **extra},
        status=status,
        content_type="application/problem+json",
    )
