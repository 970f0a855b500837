"""Configuring and starting supervisord for this checkout.

http://supervisord.org/configuration.html
"""

from __future__ import annotations

import configparser
import contextlib
import io
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .. import processes, readiness, texts
from ..process import capture
from ..supervision.client import WATCH, Client
from .places import Places
from .stack import Program

RETRIES = 3
# A server's developer mends its code meanwhile; what waits for a server gives up earlier.
RETRIES_OF_SERVER = 100
_LOG_BYTES = "10MB"

# Ends the supervisor when the checkout is deleted: its directory is `.`, which has a path as long
# as it exists, also after it was moved.
_WATCH = "while /bin/pwd -P >/dev/null 2>&1; do sleep 5; done; kill $PPID"

_ORPHANS_STOP = 8  # seconds for each service


class Supervisor(Client):
    """The supervisord of this checkout, which may be absent."""

    def __init__(self, places: Places, python: Path) -> None:
        super().__init__(places.supervisor_socket)
        self._places = places
        self._python = python
        self.configuration = places.scripts / "supervisord.conf"

    def configure(self, programs: Iterable[Program]) -> None:
        """Write the configuration of the next supervisor."""
        self._places.checkout.write(self.configuration, _configuration(list(programs)))

    def configured_otherwise(self, programs: Iterable[Program]) -> bool:
        """Whether the running supervisor manages other programs."""
        return texts.read(self.configuration) != _configuration(list(programs))

    def launch(self, environment: Mapping[str, str]) -> None:
        """Start it in the background without any process. Raises DevError on failure."""
        self.socket.unlink(missing_ok=True)
        capture(
            # Through the link, whose path has no special characters: see Places.
            [
                *(str(self._python), "-m", "supervisor.supervisord"),
                *("-c", f"{self._places.sockets}/dev/run/{self.configuration.name}"),
            ],
            directory=Path("/"),
            environment={**environment, **processes.marks(self._places.checkout.root)},
        ).must("the supervisor did not start")
        readiness.wait_until(lambda: self.answers, 20, "the supervisor did not answer")

    def shut_down(self) -> None:
        """Stop it, after its processes have been stopped."""
        self.ask("shutdown")
        readiness.wait_until(lambda: not self.socket.exists(), 20, "the supervisor did not stop")

    def end_orphans(self, programs: Sequence[tuple[str, signal.Signals]]) -> list[str]:
        """Stop processes whose supervisor is gone; return the services' names.

        `programs` are services with their stop signals, in stop order.
        """
        root = self._places.checkout.root
        marks = {name: processes.marks(root, name) for name, _ in programs}
        of_services = {number for wanted in marks.values() for number in processes.marked(wanted)}
        # A running supervisor that does not answer would only restart them.
        for number in set(processes.marked(processes.marks(root))) - of_services:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return [
            name for name, first in programs if processes.stop(marks[name], first, _ORPHANS_STOP)
        ]


def _configuration(programs: Sequence[Program]) -> str:
    sections: dict[str, dict[str, object]] = {
        "supervisord": {
            # %(here)s is the link in the directory of sockets, which has no special characters.
            "logfile": "%(here)s/../logs/supervisor.log",
            "logfile_maxbytes": _LOG_BYTES,
            "logfile_backups": 1,
            "pidfile": "%(here)s/supervisord.pid",
            "directory": "/",
            "nocleanup": "true",
            # Set explicitly to silence a start-up warning.
            **({"user": "root"} if os.getuid() == 0 else {}),
        },
        "unix_http_server": {"file": "%(here)s/../../supervisor.sock", "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        },
        f"program:{WATCH}": {
            "command": f"sh -c '{_WATCH}'",
            "directory": "%(here)s/../..",
            "stopasgroup": "true",
            "startsecs": 0,
        },
    }
    for number, program in enumerate(programs):
        name = program.service.name
        sections[f"fcgi-program:{name}" if program.socket else f"program:{name}"] = {
            **_command(program),
            "priority": number,
            "autostart": "false",
            "autorestart": "false" if program.service.one_shot else "true",
            "startsecs": program.steady,
            "startretries": RETRIES_OF_SERVER if program.socket else RETRIES,
            "stopsignal": program.stop_signal,
            "stopwaitsecs": int(program.service.stop_grace_period),
            "stopasgroup": "true" if program.stop_group else "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": f"%(here)s/../logs/{name}.log",
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": 1,
        }
    made = configparser.RawConfigParser()
    made.read_dict(sections)
    text = io.StringIO()
    made.write(text)
    return f"; Written by ./dev.\n\n{text.getvalue()}"


def _command(program: Program) -> dict[str, object]:
    name = program.service.name
    if not program.socket:
        return {"command": f"%(here)s/{name}"}
    # supervisord opens the socket, which outlives the server: see supervision/client.py.
    return {
        "command": f"%(here)s/{name} %(process_num)d",
        "process_name": f"{name}-%(process_num)d",
        "numprocs": 2,
        "socket": f"tcp://{program.socket}",
        "socket_backlog": 2048,
    }
