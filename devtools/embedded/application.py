"""The checkout's own services: release, web, worker and others that run its code."""

from __future__ import annotations

import shlex

from ..declared.local_stack import Service
from ..errors import NoAnswer
from ..services import WEB, WORKER
from ..supervisor_protocol import Control
from ..workspace import leftovers
from ..workspace.switch import CRASHES
from .stack import MARK, MARK_SERVICE, Program, Stack


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
        fault=lambda: _fault(stack) if service.name == WEB else "",
    )


def _script(stack: Stack, service: Service) -> str:
    if service.name != WEB:
        return stack.script(service, stack.backend, shlex.join(service.command))
    # Runs below the supervisor that `./dev serve` controls: see devtools/workspace.
    supervisor = [str(stack.python), "-B", "-m", "devtools.workspace.supervisor"]
    command = [*supervisor, "--socket", str(stack.places.web_socket), *service.command]
    return stack.script(service, stack.checkout.root, shlex.join(command))


def _prepare(stack: Stack, service: Service) -> None:
    stack.make_places(service)
    # For example a debugger's adapter with an editor still connected.
    leftovers.end({MARK: str(stack.checkout.root), MARK_SERVICE: service.name})


def _fault(stack: Stack) -> str:
    try:
        state = Control(stack.places.web_socket).look()
    except NoAnswer:
        return ""  # no error is known
    if state is None or state.crashes < CRASHES:
        return ""
    return f"crashed (exit status {state.exit_status})"


def _ready(stack: Stack, service: Service, since: float) -> bool:
    """Run the declared health check when it can succeed: each run starts a Python."""
    if not _shows_itself(stack, service, since):
        return False
    check = stack.filled(service.health_check)
    return not check or stack.run(service, "sh", "-c", check).ok


def _shows_itself(stack: Stack, service: Service, since: float) -> bool:
    if service.name != WORKER:
        return True
    heartbeat = stack.settings(service)["WORKER_HEARTBEAT_FILE"]
    try:
        # An older one belongs to an earlier process.
        return (stack.backend / heartbeat).stat().st_mtime >= since
    except OSError:
        return False
