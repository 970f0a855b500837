"""Ports of this machine: which are free, who holds one, which ones this checkout was given.

A command that starts services holds their ports (`Claims`) from their choice until the services
listen, so that two starts at once never choose the same.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import socket
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Callable

from .checkout import Checkout
from .errors import DevError

LOOPBACK = "127.0.0.1"
LARGEST = 65535
# Ports below it are for the system's own servers.
_LOWEST = 1024
SUBJECT = "ports"


def valid(text: str) -> bool:
    """Whether `text` is a port number."""
    return text.isascii() and text.isdigit() and 1 <= int(text) <= LARGEST


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections that just ended keep no server from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            # A port below 1024 may be refused to us and yet be free for the daemon.
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
    raise DevError("no port of this machine is free", "end a program that listens: ss -ltnp")


class Claims:
    """The ports that one command holds for services that it starts, until it leaves the context.

    Each is the lock of a file, which ends with the process, however that ends.
    """

    def __init__(self, directory: Path | None = None) -> None:
        # Not TMPDIR, which may differ from shell to shell.
        self._directory = directory or Path("/tmp") / f"homeport-ports-{os.getuid()}"
        self._files = contextlib.ExitStack()
        self._held: set[int] = set()

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()
        self._held.clear()

    def take(self, port: int, host: str = LOOPBACK) -> bool:
        """Hold `port` if a server could listen on it and no other command holds it."""
        # Looked at twice: whoever held it in between may have made a server listen.
        return is_free(port, host) and self.hold(port) and is_free(port, host)

    def hold(self, port: int) -> bool:
        """Hold `port`, whoever listens on it now; False if another command holds it."""
        if port in self._held:
            return True
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self._directory / str(port), flags, 0o600)
        except OSError:
            return True  # without a place for locks, what counts is who listens
        file = os.fdopen(descriptor, "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._files.enter_context(file)
        self._held.add(port)
        return True


def holder(port: int) -> str:
    """Who has `port`: the process that listens, as `name (process 123)`, or a start that holds it.

    Empty if it is hidden.
    """
    if is_free(port):
        return "a stack that is starting"
    sockets = _listening(port)
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        try:
            if _has_open(process, sockets):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"{name} (process {process.name})"
        except OSError:
            continue  # gone, or another user's
    return ""


def held_by(ancestor: int, port: int) -> bool:
    """Whether the process `ancestor`, or one below it, listens on `port`.

    Where a system does not say who listens: whether anybody does.
    """
    if not _TABLES[0].exists():
        return not is_free(port)
    sockets = _listening(port)
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        try:
            if _has_open(process, sockets) and ancestor in _ancestry(process):
                return True
        except OSError:
            continue  # gone, or another user's
    return False


def listens(port: int, table: str | None = None) -> bool:
    """Whether anybody listens on `port`, found out without a connection: a debugger would take
    one for an editor. `table` is what the kernel of another place says of its connections."""
    if table is None and not _TABLES[0].exists():
        return not is_free(port)
    return bool(_on(port, _LISTENING, table))


def connected(port: int, table: str | None = None) -> bool:
    """Whether somebody is connected to the server on `port`, where the system says so."""
    return bool(_on(port, _ESTABLISHED, table))


def table() -> str:
    """What the kernel says of the connections of this place; nothing where it does not."""
    return "".join(_read(table) for table in _TABLES)


def remembered(checkout: Checkout) -> dict[str, str]:
    """The ports that `--auto-ports` gave this checkout, by variable, unless others were chosen."""
    return {
        variable: str(port)
        for variable, port in checkout.recall(SUBJECT).items()
        if valid(str(port)) and not checkout.chosen(variable)
    }


# https://docs.kernel.org/networking/proc_net_tcp.html
_LISTENING = "0A"
_ESTABLISHED = "01"
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def _listening(port: int) -> set[str]:
    """The sockets that listen on `port`, as a process's open files name them."""
    return _on(port, _LISTENING)


def _on(port: int, state: str, among: str | None = None) -> set[str]:
    lines = (table() if among is None else among).splitlines()
    # Each table begins with a heading.
    rows = [line.split() for line in lines if line.lstrip()[:1].isdigit()]
    return {
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] == state and int(row[1].rpartition(":")[2], 16) == port
    }


def _ancestry(process: Path) -> Iterator[int]:
    """The numbers of a process and of all that it descends from."""
    number = int(process.name)
    while number:
        yield number
        # The second field is a name in brackets, with anything in it.
        stat = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        number = int(stat.rpartition(")")[2].split()[1])


def _has_open(process: Path, sockets: set[str]) -> bool:
    return any(_target(file) in sockets for file in (process / "fd").iterdir())


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:  # closed a moment ago
        return ""


def _read(table: Path) -> str:
    try:
        return table.read_text(encoding="ascii")
    except OSError:
        return ""
