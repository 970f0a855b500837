"""Database connections that a worker keeps from task to task, under the rules of requests.

Celery closes them before and after each task; CELERY_DB_REUSE_MAX in the settings stops that.
What a task has left in the session is reset when the connection is next entered:
tenants/postgresql/base.py.
"""

from __future__ import annotations

from typing import Any

from celery import signals
from django.db import close_old_connections, connections, reset_queries


@signals.task_postrun.connect
def leave(task: Any, **kwargs: Any) -> None:
    """Leave the tenant, and close what is too old or broken, as at the end of a request."""
    if task.request.is_eager:
        return
    connection: Any  # the tenants' own
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            # A time limit has interrupted the end of the block. Django could not use it again.
            connection.close()
            del connections[connection.alias]
        else:
            connection.set_schema_to_public()
    close_old_connections()
    reset_queries()
