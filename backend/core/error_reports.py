"""Errors for Sentry, or a service that speaks its protocol, where SENTRY_DSN names one.

With personal data off: no user, no address, no query string, no body, no local variables. The text
of an exception and its traceback are sent, as in the log.
https://docs.sentry.io/platforms/python/data-management/data-collected/
"""

from __future__ import annotations

from typing import Any

import sentry_sdk
import structlog
from django.conf import settings
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration

FLUSH = 2  # seconds at the end of a process


def start() -> None:
    """Report what no view and no task expected."""
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        before_send=_without_personal_data,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_enabling_integrations=False,
        integrations=[
            DjangoIntegration(),
            CeleryIntegration(propagate_traces=False),
            # Exceptions alone, each once: a line of the log repeats one of them.
            LoggingIntegration(level=None, event_level=None),
        ],
    )


def flush() -> None:
    """Send what waits, where a process ends without Python's own end."""
    sentry_sdk.flush(FLUSH)


def _without_personal_data(event: Any, hint: dict[str, Any]) -> Any:
    request = event.get("request", {})
    for name in ("query_string", "cookies", "headers", "env", "data"):
        request.pop(name, None)
    event.pop("user", None)
    known = structlog.contextvars.get_contextvars()
    names = ("tenant", "request_id", "task_id")
    event["tags"] = {**event.get("tags", {}), **{n: str(known[n]) for n in names if n in known}}
    return event
