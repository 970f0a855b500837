"""A task that ends its process, for a worker that test_stopped_tasks.py starts."""

import os
import signal

from core.celery import app
from core.celery.broker import broker

QUEUE = "stopped-tasks-tests"
RUNS = "homeport:tests:runs"


@app.task(name="core.tests.crash", queue=QUEUE)
def crash(how: str) -> None:
    broker().rpush(RUNS, how)
    if how != "ends":
        os.kill(os.getpid(), signal.SIGKILL)
