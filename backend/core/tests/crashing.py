"""A task that ends its process, for a worker that test_stopped_tasks.py starts."""

import os
import signal

from core.celery import app
from core.celery.broker import broker

# With -n, processes share the broker; each and the worker that it starts have separate names.
_PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "")
QUEUE = f"stopped-tasks-tests{_PROCESS}"
RUNS = f"homeport:tests:runs{_PROCESS}"


@app.task(name="core.tests.crash", queue=QUEUE)
def crash(how: str) -> None:
    broker().rpush(RUNS, how)
    if how != "ends":
        os.kill(os.getpid(), signal.SIGKILL)
