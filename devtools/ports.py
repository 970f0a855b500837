"""Ports of this machine: whether they are free, and who uses them.

A command that starts services reserves their ports (`Claims`) from their choice until the
services listen, so that two concurrent starts never choose the same port.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import socket
from collections.abc import Container
from pathlib import Path
from typing import Callable

from . import processes
from .errors import DevError
from .places_outside import place

LOOPBACK = "127.0.0.1"
LARGEST = 65535
# Lower ports are reserved for system services.
_LOWEST = 1024


def valid(text: str) -> bool:
    """Whether `text` is a port number."""
    return text.isascii() and text.isdigit() and 1 <= int(text) <= LARGEST


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections in TIME_WAIT do not prevent a server from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            # We may not bind a port below 1024, but the daemon may.
            return error.errno != errno.EADDRINUSE
    return True


def next_free(
    after: int,
    taken: Container[int] = (),
    host: str = LOOPBACK,
    free: Callable[[int, str], bool] = is_free,
) -> int:
    """The first port above `after`, else the first of all, that is `free` and not in `taken`.

    Raises DevError if there is none.
    """
    for port in itertools.chain(range(after + 1, LARGEST + 1), range(_LOWEST, after)):
        if port not in taken and free(port, host):
            return port
    raise DevError("no port of this machine is free", "stop a program that listens: ss -ltnp")


class Claims(contextlib.ExitStack):
    """The ports, and the project name, that a command reserves for services that it starts, until
    it leaves the context.

    Each is a file lock, which is released when the process exits for any reason.
    """

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__()
        # Not TMPDIR, which may differ between shells.
        self._directory = directory or place("/tmp", f"ports-{os.getuid()}")
        self._held: set[int | str] = set()

    def take(self, port: int, host: str = LOOPBACK) -> bool:
        """Reserve `port` if a server could listen on it and no other command has reserved it."""
        # Check again: another command may have started a server before it released the port.
        return is_free(port, host) and self.hold(port) and is_free(port, host)

    def hold(self, port: int | str) -> bool:
        """Reserve a port or a name, even if in use; False if another command has reserved it."""
        if port in self._held:
            return True
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self._directory / str(port), flags, 0o600)
        except OSError:
            return True  # without a directory for locks, only listeners count
        file = os.fdopen(descriptor, "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self.enter_context(file)
        self._held.add(port)
        self.callback(self._held.remove, port)
        return True


def holder(port: int) -> str:
    """Who uses `port`, in words: the listening process, as `name (process 123)`, or a start."""
    if is_free(port):
        return "a stack that is starting"
    for process in processes.listening(port) or ():
        return f"{processes.name(process)} (process {process})"
    return "another program"


def held_by(ancestor: int, port: int) -> bool:
    """Whether the process `ancestor`, or a descendant, listens on `port`; 0 is no process.

    On systems that do not show the owner of a port: whether any process listens.
    """
    if not ancestor or is_free(port):
        return False  # the tables of connections take long to read
    found = processes.listens_below(ancestor, port)
    return True if found is None else found


def listens(port: int, table: str | None = None) -> bool:
    """Whether a server listens on `port`, without connecting: a debugger would take a connection
    for an editor. `table` is the kernel's table of connections of another network namespace."""
    found = processes.listens(port, table)
    return not is_free(port) if found is None else found


def connected(port: int, table: str | None = None) -> bool:
    """Whether a client is connected to the server on `port`; False if that is unknown."""
    return bool(processes.connected(port, table))
