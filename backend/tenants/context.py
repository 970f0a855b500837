"""The tenant's way through a process: log lines carry it, and nothing keeps it too long."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import structlog
from django.core.signals import request_finished
from django.db import connection
from django.dispatch import receiver
from django_structlog.celery.signals import bind_extra_task_metadata
from django_tenants.utils import get_public_schema_name, schema_context, tenant_context

from tenants.models import Tenant


def in_this_tenant(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function bound to the tenant of the caller, to be run by another thread.

    Each thread has its own connection, which starts in no tenant: unbound code fails there.
    """
    tenant = connection.tenant

    @wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        with tenant_context(tenant):
            return function(*args, **kwargs)

    return bound


def each_active_tenant() -> Iterator[Tenant]:
    """Enter every active tenant in turn, and yield it."""
    with schema_context(get_public_schema_name()):  # no tenant may see the others
        tenants = list(Tenant.objects.filter(is_active=True))
    for tenant in tenants:
        with tenant_context(tenant):
            yield tenant


@receiver(request_finished)
def leave_tenant(**kwargs: Any) -> None:
    """Leave the tenant when the response has been sent.

    Not in the middleware: a streamed response still reads while it is being sent.
    """
    connection.set_schema_to_public()


@receiver(bind_extra_task_metadata)
def bind_tenant_of_task(**kwargs: Any) -> None:
    structlog.contextvars.bind_contextvars(tenant=connection.schema_name)
