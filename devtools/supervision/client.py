"""A client of supervisord: the states of its processes, starting and stopping them.

http://supervisord.org/api.html
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import time
import xmlrpc.client
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import readiness
from ..errors import DevError, NoAnswer

# A service whose socket supervisord opens has two processes, `NAME-0` and `NAME-1`. The first
# only keeps the socket open while the second, the server, is replaced.
HOLDER, SERVER = "-0", "-1"
# A process that is no service: see embedded/supervisor.py.
WATCH = "watch"
_CRASHES = 2  # in a row; then a start has failed

_ANSWER_WITHIN = 20  # seconds
_KILLED_WITHIN = 10  # seconds
# Raised if the supervisor exists but is busy: its queue of connections may be full, too.
_SLOW = (TimeoutError, BlockingIOError)
# ALREADY_STARTED, NOT_RUNNING: http://supervisord.org/api.html#xml-rpc-api-documentation
_ALREADY = (60, 70)


@dataclass(frozen=True)
class State:
    """A process as supervisord reports it; `since` is its last start, 0 if it had none.

    `holder` is the id of the process that keeps its socket open: its own, except for a server.
    """

    name: str
    process: str
    word: str
    pid: int
    holder: int
    since: int
    exit_status: int

    @property
    def running(self) -> bool:
        return self.word in ("STARTING", "RUNNING")

    @property
    def crashed(self) -> bool:
        """Whether its last start failed."""
        return self.word in ("BACKOFF", "FATAL")

    @property
    def crash(self) -> str:
        """How it crashed, in words. supervisord keeps no exit status of one that never ran long."""
        return f"crashed (exit status {self.exit_status})" if self.exit_status else "crashed"

    @property
    def at_work(self) -> bool:
        """Whether supervisord runs it, or will restart it."""
        return self.running or self.word in ("BACKOFF", "STOPPING")


class Crashes:
    """Counts the failed starts of each service that its observer has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, set[int]] = defaultdict(set)

    def are_too_many(self, state: State) -> bool:
        """Whether this service will not start by itself, this failure included."""
        if state.crashed:
            self._seen[state.name].add(state.since)
        return len(self._seen[state.name]) >= _CRASHES


class Client:
    """Calls the supervisord that listens on `socket`, if there is one."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    @property
    def answers(self) -> bool:
        """Whether it runs. Raises NoAnswer if it runs but does not answer."""
        if not self.socket.exists():
            return False
        try:
            return bool(self.ask("getState")["statename"] == "RUNNING")
        except _Absent:
            return False

    def states(self) -> dict[str, State]:
        """Every service. Raises DevError without a supervisor."""
        every = self.ask("getAllProcessInfo")
        holders = {one["group"]: one["pid"] for one in every if one["name"].endswith(HOLDER)}
        return {
            found["group"]: State(
                name=found["group"],
                process=f"{found['group']}:{found['name']}",
                word=found["statename"],
                pid=found["pid"],
                holder=holders.get(found["group"], found["pid"]),
                since=found["start"],
                exit_status=found["exitstatus"],
            )
            for found in every
            if found["name"] not in (found["group"] + HOLDER, WATCH)
        }

    def start(self, name: str) -> None:
        """Start one service and return at once."""
        process = self.states()[name].process
        if process.endswith(SERVER):
            with contextlib.suppress(_Already):
                self.ask("startProcess", f"{name}:{name}{HOLDER}", False)
        self.ask("startProcess", process, False)

    def stop(self, patience: Mapping[str, float], *, keep_socket: bool = False) -> None:
        """Stop services together, and kill each after its `patience` in seconds.

        With `keep_socket`, requests to a stopped server wait for the next one.
        """
        states = self.states()
        running = [states[name] for name in patience if states[name].at_work]
        began = time.monotonic()
        for state in running:
            with contextlib.suppress(_Already):
                self.ask("stopProcess", state.process, False)
        for state in running:
            self._wait_or_kill(state, began + patience[state.name])
        for name in patience:
            if states[name].process.endswith(SERVER) and not keep_socket:
                with contextlib.suppress(_Already):
                    self.ask("stopProcess", f"{name}:{name}{HOLDER}")

    def _wait_or_kill(self, state: State, end: float) -> None:
        # supervisord looks at its processes once a second, and at each request.
        def rests() -> bool:
            return not self.states()[state.name].at_work

        otherwise = f"{state.name} did not stop"
        within = max(0.0, end - time.monotonic()) + _KILLED_WITHIN
        readiness.wait_until(lambda: rests() or time.monotonic() > end, within, otherwise)
        if not rests():  # it is paused at a breakpoint, or ignores the signal
            with contextlib.suppress(ProcessLookupError):
                os.killpg(state.pid, signal.SIGKILL)
            readiness.wait_until(rests, _KILLED_WITHIN, otherwise)

    def ask(self, method: str, *arguments: object) -> Any:
        """Call a method of the API. Raises NoAnswer if supervisord is slow, DevError otherwise."""
        # A new connection for each call: doctor's checks run concurrently, and a connection serves
        # only one thread.
        transport = _UnixTransport(str(self.socket))
        try:
            with xmlrpc.client.ServerProxy("http://supervisor", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            kind = _Already if fault.faultCode in _ALREADY else DevError
            raise kind(f"the supervisor rejected {method}: {fault.faultString}") from fault
        except _SLOW as error:
            raise NoAnswer(
                f"the supervisor does not answer: {error}", "try again: is the machine overloaded?"
            ) from error
        except xmlrpc.client.ProtocolError as error:  # it runs, and wrote a traceback to its log
            raise DevError(
                f"the supervisor failed to do {method}: {error.errcode} {error.errmsg}",
                "its log shows the reason; then restart the stack: ./dev down, then ./dev up",
            ) from error
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise _Absent(
                f"the supervisor is gone: {error}", "./dev up   starts a new one"
            ) from error


class _Absent(DevError):
    """No supervisor listens on its socket."""


class _Already(DevError):
    """A process runs that should start, or exited before it was told to stop."""


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

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
