"""The tenant's way through a process: log lines carry it, and nothing keeps it too long."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.core.signals import request_finished
from django.db import connection
from django.dispatch import receiver
from django_structlog.celery.signals import bind_extra_task_metadata
from django_tenants.utils import tenant_context


def in_this_tenant(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function bound to the tenant of the caller, to be run by another thread.

    A thread has a connection of its own, which starts in no tenant: there unbound code fails.
    """
    tenant = connection.tenant

    @wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        with tenant_context(tenant):
            return function(*args, **kwargs)

    return bound


@receiver(request_finished)
def leave_tenant(**kwargs) -> None:
    """Leave the tenant when the response has been sent.

    Not in the middleware: a streamed response still reads while it is being sent.
    """
    connection.set_schema_to_public()


@receiver(bind_extra_task_metadata)
def bind_tenant_of_task(**kwargs) -> None:
    structlog.contextvars.bind_contextvars(tenant=connection.schema_name)
