"""The checkout's own services: release, web, worker and others that run its code."""

from __future__ import annotations

import shlex

from .. import health, processes
from ..declared.local_stack import Service
from ..process import capture
from ..services import WEB, WORKER
from .stack import Program, Stack


def program(stack: Stack, service: Service, installed: str) -> Program:
    """`service` as a process. `installed` identifies the state of .venv and is part of the script,
    so that a change restarts the process."""
    return Program(
        service,
        f"{_script(stack, service)}# .venv: {installed}\n",
        ready=lambda since: _ready(stack, service, since),
        prepare=lambda: _prepare(stack, service),
        # The child of runserver's reloader outlives it. The worker's processes must not get the
        # signal: they would drop their tasks.
        stop_group=service.name != WORKER,
        # Importing the application takes over a second; an earlier exit is a failed start.
        steady=0 if service.one_shot else 5,
        socket=stack.settings(service)["WEB_BIND"] if service.name == WEB else "",
    )


def _script(stack: Stack, service: Service) -> str:
    command = shlex.join(service.command)
    if service.one_shot:
        return stack.script(service, stack.backend, command)
    marks = processes.marks(stack.checkout.root, service.name)
    before = [shlex.join(processes.command_to_end(marks, stack.python))]
    if service.name == WEB:
        # The first process only holds the socket.
        before.insert(0, '[ "$1" = 1 ] || exec tail -f /dev/null')
        command = f"{command} 3 3<&0 </dev/null"
    return stack.script(service, stack.backend, command, before)


def _prepare(stack: Stack, service: Service) -> None:
    stack.make_places(service)
    # For example a debugger's adapter with an editor still connected.
    processes.end(processes.marks(stack.checkout.root, service.name))


def _ready(stack: Stack, service: Service, since: float) -> bool:
    """Run the declared health check when it can succeed: each run starts a Python."""
    if not _shows_itself(stack, service, since):
        return False
    check = stack.filled(service.health_check)
    if not check:
        return True
    environment = stack.environment(service)
    return capture(["sh", "-c", check], directory=stack.backend, environment=environment).ok


def _shows_itself(stack: Stack, service: Service, since: float) -> bool:
    if service.name == WEB:
        return health.ask(stack.ports[WEB]) is not None
    if service.name != WORKER:
        return True
    heartbeat = stack.settings(service)["WORKER_HEARTBEAT_FILE"]
    try:
        # An older one belongs to an earlier process.
        return (stack.backend / heartbeat).stat().st_mtime >= since
    except OSError:
        return False
