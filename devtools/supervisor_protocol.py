"""The protocol of the supervisor's socket: one JSON object in each direction, then it is closed.

    {"do": "look"}                                      get the state
    {"do": "serve", "server": "gunicorn", "debug_port": 5678}   replace it; null: no debugger
    {"do": "restart"}                                   restart the same server

The answer is a `State`, after an old server has ended and the new one was started, or
{"error": "..."}.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from .errors import DevError, NoAnswer
from .places_outside import place

PATIENCE = 60  # seconds; an old server may have to finish requests
LOOK_PATIENCE = 20  # seconds; it answers between two switches
# Raised if the supervisor exists but is busy: its queue of connections may be full, too.
SLOW = (TimeoutError, BlockingIOError)

# The socket and log of a dev container's main process. The paths are fixed, so that programs in
# the container find them without configuration.
HOME = place("/tmp", "workspace")
SOCKET = HOME / "supervisor.sock"
LOG = HOME / "web.log"


@dataclass(frozen=True)
class State:
    """The server's state. `phase` is running, crashed (will restart after a pause) or ending.

    `since` is its last start, in seconds since the epoch; `crashes` counts its crashes since the
    request that started it; `checkout` is the path of its code.
    """

    server: str
    debug_port: int | None
    reload: bool
    phase: str
    pid: int
    since: float
    crashes: int
    exit_status: int
    checkout: str


def inside(checkout: Path) -> bool:
    """Whether this process runs in a dev container of `checkout`."""
    state = Control(SOCKET).look()
    return state is not None and Path(state.checkout) == checkout


class Control:
    """A client of the supervisor at `path`, which may be absent."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self) -> State | None:
        """The state; None if there is no supervisor. Raises NoAnswer if it does not answer."""
        try:
            return self._ask({"do": "look"}, LOOK_PATIENCE)
        except SLOW as error:
            raise _silent(error, "try again: is the machine overloaded?") from error
        except (OSError, ValueError):
            return None

    def serve(self, server: str, debug_port: int | None) -> State:
        """Replace the server. Raises DevError on failure."""
        return self._tell({"do": "serve", "server": server, "debug_port": debug_port})

    def restart(self) -> State:
        """Restart the same server. Raises DevError on failure."""
        return self._tell({"do": "restart"})

    def _tell(self, request: dict[str, Any]) -> State:
        try:
            return self._ask(request, PATIENCE)
        except (OSError, ValueError) as error:
            raise _silent(error, "./dev restart web") from error

    def _ask(self, request: dict[str, Any], timeout: float) -> State:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(self._path))
            connection.sendall(encode(request))
            with connection.makefile("rb") as answer:
                said = json.loads(answer.readline())
        if "error" in said:
            _refused(said)
        return State(**said)


def encode(message: dict[str, Any] | State) -> bytes:
    """The encoded message."""
    return json.dumps(asdict(message) if isinstance(message, State) else message).encode() + b"\n"


def _silent(error: Exception, remedy: str) -> NoAnswer:
    return NoAnswer(f"the supervisor of web does not answer: {error}", remedy)


def _refused(said: dict[str, Any]) -> NoReturn:
    raise DevError(said["error"], said.get("remedy", ""))
