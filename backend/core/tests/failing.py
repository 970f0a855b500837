"""Tasks that fail, are tried again or never end, for a worker that test_task_list.py starts."""

import os
import time
from contextlib import suppress

from celery.exceptions import SoftTimeLimitExceeded

from core.celery import app

# With -n, processes share the broker; each has its own queue, as has the worker that it starts.
QUEUE = f"task-list-tests{os.environ.get('PYTEST_XDIST_WORKER', '')}"


@app.task(name="core.tests.fail", queue=QUEUE)
def fail(email: str, token: str = "", **options: str) -> None:
    raise ValueError("no answer from https://ann:hunter2@example.com/")


@app.task(name="core.tests.exceed", queue=QUEUE, time_limit=2, soft_time_limit=1)
def exceed() -> None:
    while True:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(600)


@app.task(name="core.tests.sleep", queue=QUEUE)
def sleep(seconds: float) -> None:
    time.sleep(seconds)


@app.task(name="core.tests.retry", bind=True, queue=QUEUE, max_retries=1)
def retry(self, countdown: float) -> None:
    if not self.request.retries:
        raise self.retry(countdown=countdown, exc=OSError("mail server away"))
