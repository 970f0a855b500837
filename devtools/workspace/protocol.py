"""What is said over the supervisor's socket: one JSON object each way, then it is closed.

    {"do": "look"}                                      what runs now
    {"do": "serve", "server": "gunicorn", "debug_port": 5678}   replace it; null: no debugger
    {"do": "restart"}                                   the same server anew

Each is answered with a `State`, once an old server has ended and the new one was started, or
with {"error": "..."}.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..errors import DevError, NoAnswer

PATIENCE = 60  # seconds; an old server may have requests to end
LOOK_PATIENCE = 20  # seconds; it answers between two switches
# What is raised where somebody listens who is busy: its queue of connections may be full, too.
SLOW = (TimeoutError, BlockingIOError)

# Where the main process of a dev container listens and writes. Nothing else of the container
# has to know: whoever runs in it finds them here.
HOME = Path("/tmp/homeport-workspace")
SOCKET = HOME / "supervisor.sock"
LOG = HOME / "web.log"


@dataclass(frozen=True)
class State:
    """The server now. `phase` is running, crashed (it is started again after a pause) or ending.

    `since` is when it was last started, in seconds since the epoch; `crashes` how often it has
    ended by itself since it was asked for; `checkout` the path of the code that it runs.
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
    """Whether this process runs in a dev container, and `checkout` is the one it is for."""
    state = Control(SOCKET).look()
    return state is not None and Path(state.checkout) == checkout


class Control:
    """Talks to the supervisor behind `path`, which may be there or not."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self) -> State | None:
        """What runs; None if there is no supervisor. Raises NoAnswer if it does not answer."""
        try:
            return self._ask({"do": "look"}, LOOK_PATIENCE)
        except SLOW as error:
            raise _silent(error, "look again: is the machine overloaded?") from error
        except (OSError, ValueError):
            return None

    def serve(self, server: str, debug_port: int | None) -> State:
        """Replace the server. Raises DevError if that cannot be."""
        return self._tell({"do": "serve", "server": server, "debug_port": debug_port})

    def restart(self) -> State:
        """Start the same server anew. Raises DevError if that cannot be."""
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
    """A message as it is sent."""
    return json.dumps(asdict(message) if isinstance(message, State) else message).encode() + b"\n"


def _silent(error: Exception, remedy: str) -> NoAnswer:
    return NoAnswer(f"the supervisor of web does not answer: {error}", remedy)


def _refused(said: dict[str, Any]) -> NoReturn:
    raise DevError(said["error"], said.get("remedy", ""))
