"""Configuring, starting and calling supervisord for this checkout.

http://supervisord.org/configuration.html, http://supervisord.org/api.html
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import socket
import xmlrpc.client
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import readiness
from ..errors import DevError, NoAnswer
from ..process import capture
from ..supervisor_protocol import SLOW
from .places import Places
from .stack import MARK, MARK_SERVICE, Program

RETRIES = 3
_ANSWER_WITHIN = 20  # seconds
_LOG_BYTES = "10MB"

_ORPHANS = Path(__file__).with_name("orphans.py")


@dataclass(frozen=True)
class State:
    """A process as the supervisor reports it; `since` is its last start, 0 if it had none."""

    name: str
    word: str
    pid: int
    since: int
    exit_status: int
    complaint: str

    @property
    def running(self) -> bool:
        return self.word in ("STARTING", "RUNNING")

    @property
    def at_work(self) -> bool:
        """Whether the supervisor runs it, or will restart it."""
        return self.running or self.word in ("BACKOFF", "STOPPING")


class Supervisor:
    """A client of one supervisord, which may be absent."""

    def __init__(self, places: Places, python: Path) -> None:
        self._places = places
        self._python = python
        self.configuration = places.scripts / "supervisord.conf"
        self.socket = places.supervisor_socket

    @property
    def answers(self) -> bool:
        """Whether it runs. Raises NoAnswer if it runs but does not answer."""
        if not self.socket.exists():
            return False
        try:
            return self._ask("getState")["statename"] == "RUNNING"
        except _Absent:
            return False

    def states(self) -> dict[str, State]:
        """Every process, by service."""
        return {
            found["name"]: State(
                name=found["name"],
                word=found["statename"],
                pid=found["pid"],
                since=found["start"],
                exit_status=found["exitstatus"],
                complaint=found["spawnerr"],
            )
            for found in self._ask("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Start one process and return at once."""
        self._ask("startProcess", name, False)

    def stop(self, patience: Mapping[str, float]) -> None:
        """Stop processes, one after the other; each has its `patience` in seconds."""
        for name, seconds in patience.items():
            if not self.states()[name].at_work:
                continue
            with contextlib.suppress(_NotRunning):
                self._ask("stopProcess", name, False)
            # The supervisor kills processes that do not stop in time. It checks once a second, and
            # at each request.
            readiness.wait_until(
                functools.partial(self._rests, name),
                seconds + 5,
                f"{name} did not stop",
            )

    def _rests(self, name: str) -> bool:
        return not self.states()[name].at_work

    # The supervisor

    def configure(self, programs: Iterable[Program]) -> None:
        """Write the configuration of the next supervisor."""
        self._places.write(self.configuration, _configuration(list(programs)))

    def configured_otherwise(self, programs: Iterable[Program]) -> bool:
        """Whether the running supervisor manages other programs."""
        try:
            return self.configuration.read_text() != _configuration(list(programs))
        except OSError:
            return True

    def launch(self, environment: Mapping[str, str]) -> None:
        """Start it in the background without any process. Raises DevError on failure."""
        self.socket.unlink(missing_ok=True)
        started = capture(
            # Through the link, whose path has no special characters: see Places.
            [
                *(str(self._python), "-m", "supervisor.supervisord"),
                *("-c", f"{self._places.sockets}/dev/run/{self.configuration.name}"),
            ],
            directory=Path("/"),
            environment={**environment, **self._mark},
        )
        if not started.ok:
            raise DevError(f"the supervisor did not start: {started.last_words}")
        readiness.wait_until(lambda: self.answers, 20, "the supervisor did not answer")

    def shut_down(self) -> None:
        """Stop it, after its processes have been stopped."""
        self._ask("shutdown")
        readiness.wait_until(lambda: not self.socket.exists(), 20, "the supervisor did not stop")

    def end_orphans(self, programs: Sequence[tuple[str, str]]) -> list[str]:
        """Stop processes whose supervisor is gone; return the services' names.

        `programs` are services with their stop signals, in stop order.
        """
        done = capture(
            [
                *(str(self._python), "-B", str(_ORPHANS)),
                *map(json.dumps, [(MARK, self._mark[MARK], MARK_SERVICE), *programs]),
            ],
            directory=Path("/"),
            environment=dict(os.environ),
            timeout=120,
        )
        if not done.ok:
            raise DevError(f"orphaned processes could not be stopped: {done.last_words}")
        return done.output.split()

    @property
    def _mark(self) -> dict[str, str]:
        return {MARK: str(self._places.checkout.root)}

    def _ask(self, method: str, *arguments: object) -> Any:
        # A new connection for each call: doctor's checks run concurrently, and a connection serves
        # only one thread.
        transport = _UnixTransport(str(self.socket))
        try:
            with xmlrpc.client.ServerProxy("http://supervisor", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _NOT_RUNNING:
                raise _NotRunning(fault.faultString) from fault
            raise DevError(f"the supervisor rejected {method}: {fault.faultString}") from fault
        except SLOW as error:
            raise NoAnswer(
                f"the supervisor does not answer: {error}", "try again: is the machine overloaded?"
            ) from error
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise _Absent(
                f"the supervisor is gone: {error}", "./dev up   starts a new one"
            ) from error


_NOT_RUNNING = 70  # http://supervisord.org/api.html#xml-rpc-api-documentation


class _Absent(DevError):
    """No supervisor listens on its socket."""


class _NotRunning(DevError):
    """It exited before it was told to stop."""


def _configuration(programs: Sequence[Program]) -> str:
    sections: list[dict[str, object]] = [
        {
            "": "supervisord",
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
        {"": "unix_http_server", "file": "%(here)s/../../supervisor.sock", "chmod": "0700"},
        {
            "": "rpcinterface:supervisor",
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        },
    ]
    sections += [
        {
            "": f"program:{program.service.name}",
            "command": f"%(here)s/{program.service.name}",
            "priority": number,
            "autostart": "false",
            "autorestart": "false" if program.service.one_shot else "true",
            "startsecs": program.steady,
            "startretries": RETRIES,
            "stopsignal": program.stop_signal,
            "stopwaitsecs": int(program.service.stop_grace_period),
            "stopasgroup": "true" if program.stop_group else "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": f"%(here)s/../logs/{program.service.name}.log",
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": 1,
        }
        for number, program in enumerate(programs)
    ]
    lines = ["; Written by ./dev."]
    for section in sections:
        lines += ["", f"[{section.pop('')}]"]
        lines += [f"{name}={value}" for name, value in section.items()]
    return "\n".join(lines) + "\n"


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def request(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().request(*arguments, **options)
        finally:
            self.close()

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        self._connection = host, _UnixConnection(self._path)
        return self._connection[1]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER_WITHIN)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
