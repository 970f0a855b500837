"""The tenant's way through a process: log lines carry it, and nothing keeps it too long."""

import structlog
from django.core.signals import request_finished
from django.db import connection
from django.dispatch import receiver
from django_structlog.celery.signals import bind_extra_task_metadata


@receiver(request_finished)
def leave_tenant(**kwargs) -> None:
    """Leave the tenant when the response has been sent.

    Not in the middleware: a streamed response still reads while it is being sent.
    """
    connection.set_schema_to_public()


@receiver(bind_extra_task_metadata)
def bind_tenant_of_task(**kwargs) -> None:
    structlog.contextvars.bind_contextvars(tenant=connection.schema_name)
