"""The checkout's own services: release, web, worker and whatever else runs its code."""

from __future__ import annotations

import shlex

from ..services import WORKER
from .declaration import Service
from .stack import Program, Stack


def program(stack: Stack, service: Service, installed: str) -> Program:
    """`service` as a process. `installed` names the state of .venv: when that changes, so does
    the script, and the process is started anew."""
    script = stack.script(service, stack.backend, shlex.join(service.command))
    return Program(
        service,
        f"{script}# .venv: {installed}\n",
        ready=lambda since: _ready(stack, service, since),
        prepare=lambda: stack.make_places(service),
        # Its reloader's child outlives runserver. The worker's own processes must not be
        # stopped with it: they would drop what they are doing.
        stop_group=service.name != WORKER,
        # Importing the application takes longer than a second; a crash there is one at start.
        steady=0 if service.one_shot else 5,
    )


def _ready(stack: Stack, service: Service, since: float) -> bool:
    """Ask the declared health check, once it can succeed: each costs a start of Python."""
    if not _shows_itself(stack, service, since):
        return False
    check = stack.filled(service.health_check)
    return not check or stack.run(service, "sh", "-c", check).ok


def _shows_itself(stack: Stack, service: Service, since: float) -> bool:
    if service.name != WORKER:
        return True
    heartbeat = stack.settings(service)["WORKER_HEARTBEAT_FILE"]
    try:
        # One that is older is of a process before this one.
        return (stack.backend / heartbeat).stat().st_mtime >= since
    except OSError:
        return False
