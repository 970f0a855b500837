"""Processor time that a worker uses for a task of a tenant, beside a plain Celery's.

Two workers with two processes each take their tasks from the same broker, in turns.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.process import capture
from devtools.services import WORKER
from devtools.terminal import Terminal

from .beside import YARDSTICKS, Process, ratio, running
from .copy import Copy
from .measure import Measure

TASKS = 500  # in each round, to each worker
PROCESSES = "2"

_SEND = """
import time
def send(echo, count):
    began = time.monotonic()
    for one in [echo.delay(str(number)) for number in range(count)]:
        one.get(timeout=60)
    return count / (time.monotonic() - began)
"""
_OURS = f"""{_SEND}
from core.celery import echo
from django_tenants.utils import get_tenant_model, tenant_context
with tenant_context(get_tenant_model().objects.exclude(schema_name="public").earliest("pk")):
    print(send(echo, {TASKS}))
"""
_PLAIN = f"""{_SEND}
from plain_celery import echo
print(send(echo, {TASKS}))
"""


class _Worker(NamedTuple):
    process: Process
    sender: list[str]
    directory: Path
    variables: Mapping[str, str]

    def work(self) -> tuple[float, float]:
        """Milliseconds of the worker's processor for each task, and tasks a second."""
        before = self.process.processor()
        done = capture(
            self.sender, directory=self.directory, environment=self.variables, timeout=360
        )
        if not done.ok:
            raise DevError(f"tasks were not done: {done.errors.strip()}")
        return (self.process.processor() - before) / TASKS * 1000, float(done.output.split()[-1])


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times, in a copy of `checkout` with a separate stack."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        copy = Copy(checkout, Path(directory), {})
        copy.share(checkout, terminal)
        stack.enter_context(copy.up())
        workers = {
            "ours": stack.enter_context(_ours(copy, terminal)),
            "plain": stack.enter_context(_plain(copy, terminal)),
        }
        for worker in workers.values():
            worker.work()
        for number in range(1, rounds + 1):
            with terminal.step(f"round {number}"):
                for name, worker in workers.items():
                    found[name].append(worker.work())
    (ours, our_rate), (plain, plain_rate) = (zip(*found[name]) for name in ("ours", "plain"))
    return [
        Measure("task of a tenant", "ms", None, ours),
        Measure("task, plain Celery", "ms", None, plain),
        ratio("task of a tenant, over plain Celery", 2, ours, plain),
        Measure("tasks of a tenant", "/s", 400, our_rate, at_least=True),
        Measure("tasks, plain Celery", "/s", None, plain_rate),
    ]


@contextlib.contextmanager
def _ours(copy: Copy, terminal: Terminal) -> Iterator[_Worker]:
    variables = {**_variables(copy, terminal, 8), "WORKER_CONCURRENCY": PROCESSES}
    variables["RELOAD"] = "false"
    backend = copy.checkout.root / "backend"
    sender = ["python", "manage.py", "shell", "--verbosity=0", "--command", _OURS]
    with running(copy, ["bin/worker"], backend, variables) as process:
        yield _Worker(process, sender, backend, variables)


@contextlib.contextmanager
def _plain(copy: Copy, terminal: Terminal) -> Iterator[_Worker]:
    variables = _variables(copy, terminal, 9)
    del variables["DJANGO_SETTINGS_MODULE"]  # Celery would load this project's
    command = ["python", "-m", "celery", "--app", "plain_celery", "worker"]
    command += ["--without-gossip", "--without-mingle", "--concurrency", PROCESSES]
    with running(copy, [*command, "--loglevel", "INFO"], YARDSTICKS, variables) as process:
        yield _Worker(process, ["python", "-c", _PLAIN], YARDSTICKS, variables)


def _variables(copy: Copy, terminal: Terminal, database: int) -> dict[str, str]:
    """The worker's, with another database of Redis than the stack's own worker has."""
    variables = copy.variables_of(WORKER, terminal)
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        variables[name] = variables[name].rpartition("/")[0] + f"/{database}"
    return variables
