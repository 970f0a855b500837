"""Whether a debugger listens in this process's network, and whether an editor is attached.

Read from the kernel's table: a connection made to find out would be a client to debugpy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.env import environment

# https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ESTABLISHED, LISTEN = "01", "0A"

SAID = {
    "off": "no debugger",
    "closed": "nothing listens",
    "waiting": "waiting for an editor",
    "attached": "an editor is attached",
    "unknown": "unknown: this system has no /proc/net/tcp",
}


@dataclass(frozen=True)
class Debugger:
    """A debugger's port, None if it has none, and its state: a key of `SAID`."""

    port: int | None
    state: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def said(self) -> str:
        return SAID[self.state]


def own() -> Debugger:
    """Return what is known of this process's debugger."""
    port = environment().get("DEBUGPY_PORT")
    return Debugger(int(port), state_of(int(port))) if port else Debugger(None, "off")


def state_of(port: int) -> str:
    """Return the state of the process that listens on `port` here."""
    try:
        states = {state for local, state in _sockets() if local == port}
    except OSError:
        return "unknown"
    if LISTEN not in states:
        return "closed"
    return "attached" if ESTABLISHED in states else "waiting"


def _sockets() -> list[tuple[int, str]]:
    """Return local port and state of every TCP socket.

    Raises:
        OSError: where the kernel has no such table.
    """
    lines = [line.split() for table in TABLES for line in _lines(table)]
    return [(int(fields[1].rpartition(":")[2], 16), fields[3]) for fields in lines]


def _lines(table: Path) -> list[str]:
    # Without IPv6 the second table is missing, and the first has it all.
    if table != TABLES[0] and not table.exists():
        return []
    return table.read_text().splitlines()[1:]
