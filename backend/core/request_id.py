"""The request's id, given back to the client so that a report can be found in the log."""

from typing import Any

import structlog
from django.dispatch import receiver
from django.http import HttpResponse
from django_structlog.signals import bind_extra_request_finished_metadata, update_failure_response


@receiver([bind_extra_request_finished_metadata, update_failure_response])
def add_request_id_header(response: HttpResponse, **kwargs: Any) -> None:
    """Set `X-Request-ID` on every response, failed ones included."""
    response["X-Request-ID"] = structlog.contextvars.get_contextvars().get("request_id", "")
