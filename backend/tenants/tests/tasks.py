"""Tasks of the tests' own worker; each says where it ran and whose accounts it saw."""

from typing import Any

import structlog
from django.db import connection, transaction

from core.celery import app
from tenants.tests.faulty_site import FIND_STATE, STATE, whereabouts
from users.models import User

log = structlog.get_logger(__name__)


def seen() -> list[Any]:
    place = whereabouts()
    return [place["role"], *place["users"]]


@app.task
def look(before: Any = None) -> list[Any]:
    log.info("looking")
    return [*(before or []), seen()]


@app.task(bind=True, max_retries=2)
def look_again(self: Any) -> list[Any]:
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return [seen()]


@app.task
def send_another(queue: str) -> str:
    return look.apply_async(queue=queue).id


@app.task
def breaks() -> None:
    seen()
    raise RuntimeError("a mistake")


@app.task
def leave_state(statements: int) -> int:
    """Leave in the database's session what the first of these statements do."""
    with connection.cursor() as cursor:
        for statement in STATE[:statements]:
            cursor.execute(statement)
    return backend()


@app.task
def find_state() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(FIND_STATE)
        found = [kind for (kind,) in cursor.fetchall()]
    return [found, *seen(), backend()]


@app.task
def leave_block_open() -> None:
    """End as a task does that a time limit interrupts between a block's end and its commit."""
    transaction.atomic().__enter__()
    User.objects.update(first_name="of a block that never ended")


def backend() -> int:
    return whereabouts()["pid"]
