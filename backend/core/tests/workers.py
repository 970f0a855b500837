"""Workers for tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.celery.broker import broker

BACKEND = Path(__file__).resolve().parents[2]


@contextmanager
def worker(tasks: str, queue: str, name: str, **variables: str) -> Iterator[None]:
    """Run a worker as bin/worker starts it, of the module `tasks` and one queue; kill it after."""
    command = [
        *(sys.executable, "-m", "celery", "--quiet", "--app", "core", "worker"),
        *("--include", tasks, "--queues", queue, "--concurrency", "1"),
        *("--hostname", f"{name}@%h", "--without-gossip", "--without-mingle"),
    ]
    process = subprocess.Popen(command, cwd=BACKEND, env={**os.environ, **variables})
    try:
        yield
    finally:
        process.kill()
        process.wait(timeout=30)
        # Redis may not have noticed, and would give it what is sent next. A living worker that
        # waits asks again.
        for client in broker().client_list():
            if "b" in client["flags"]:
                broker().client_unblock(client["id"])
