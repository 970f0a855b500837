"""Ports of this machine: which are free, who holds one, which ones this checkout was given."""

from __future__ import annotations

import errno
import socket
from collections.abc import Container, Iterator
from pathlib import Path

from .checkout import Checkout

LOOPBACK = "127.0.0.1"
LARGEST = 65535
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


def next_free(after: int, taken: Container[int] = (), host: str = LOOPBACK) -> int:
    """The first free port above `after` that is not in `taken`; 0 if there is none."""
    candidates = range(after + 1, LARGEST + 1)
    return next((port for port in candidates if port not in taken and is_free(port, host)), 0)


def holder(port: int) -> str:
    """The process that listens on `port`, as `name (process 123)`; empty if it is hidden."""
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
