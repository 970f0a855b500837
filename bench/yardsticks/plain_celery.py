"""A plain Celery that acknowledges late and takes one task at a time: the yardstick of a task."""

import os

from celery import Celery

app = Celery(
    "plain",
    broker=os.environ["CELERY_BROKER_URL"],
    backend=os.environ["CELERY_RESULT_BACKEND"],
)
app.conf.update(
    task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True
)


@app.task  # type: ignore[untyped-decorator]  # Celery has no types
def echo(message: str) -> dict[str, str]:
    """Return the message."""
    return {"message": message}
