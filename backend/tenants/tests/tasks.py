"""Tasks of the tests' own worker; each says where it ran and whose accounts it saw."""

from typing import Any

import structlog

from core.celery import app
from tenants.tests.faulty_site import whereabouts

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
