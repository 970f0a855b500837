"""The main process of a dev container: runs one web server and replaces it on request.

    python -m devtools.workspace.supervisor [--socket PATH] [--log FILE] [COMMAND ...]

runs COMMAND (bin/web) in `backend` with the requested SERVER, DEBUGPY_PORT and RELOAD, and
listens for requests (see `protocol`). It owns the socket of WEB_BIND, whose file descriptor is
COMMAND's argument, so a request that arrives while the server is replaced waits for the new one
and is not refused. The supervisor outlives its servers: it restarts a server that exits, after
a growing pause. As the first process of a container it also reaps orphaned processes.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

from .. import ports
from .. import supervisor_protocol as protocol
from ..checkout import ROOT
from ..supervisor_protocol import State
from . import leftovers

BACKEND = ROOT / "backend"
# The mark in the environment of all descendants of a server.
MARK = "DEV_SUPERVISOR"
SERVERS = ("gunicorn", "runserver")

PAUSES = (0.5, 1, 2, 4, 8, 10)  # seconds before the first, second, ... start after a crash
STEADY = 10  # seconds; a server that ran longer resets the count of crashes
SWITCH_PATIENCE = 5  # seconds for a replaced server to finish its requests
END_PATIENCE = 25  # the same when the supervisor stops; below the container's grace period
TURN = 0.01  # seconds between two polls

_LOG_BYTES = 10_000_000
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Supervisor:
    """One server, the last request for it, and its crashes."""

    def __init__(self, command: Sequence[str], path: Path, environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._path = path
        # Derived from the socket: a supervisor must not kill processes of another one's server.
        self._mark = {MARK: str(path)}
        self._environment = {**environment, **self._mark}
        self._server = environment.get("SERVER") or SERVERS[0]
        self._reload = environment.get("RELOAD") or ""
        port = environment.get("DEBUGPY_PORT", "")
        self._debug_port = int(port) if ports.valid(port) else None
        self._web: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._since = 0.0
        self._crashes = 0
        self._exit_status = 0
        self._start_at = 0.0
        self._ending = False

    def run(self) -> int:
        """Serve until told to stop; return the exit status."""
        _adopt_orphans()
        with _wakened_by_signals(self._end) as wakeup, self._listening() as listener:
            leftovers.end(self._mark)
            self._start()
            selector = selectors.DefaultSelector()
            for readable in (wakeup, listener):
                selector.register(readable, selectors.EVENT_READ)
            while not self._ending:
                for key, _ in selector.select(self._time_left):
                    if key.fileobj is wakeup:
                        wakeup.recv(4096)
                    else:
                        self._answer(listener)
                self._reap()
                self._start_if_due()
        self._stop(END_PATIENCE)
        return 0

    def _end(self) -> None:
        self._ending = True

    # Requests

    @contextlib.contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        if protocol.Control(self._path).look():
            raise SystemExit(f"another supervisor listens on {self._path}")
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            listener.listen()
            try:
                yield listener
            finally:
                self._path.unlink(missing_ok=True)

    def _answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(1)  # a silent client must not block the others
        with connection, contextlib.suppress(OSError):
            try:
                with connection.makefile("rb") as request:
                    answer: Any = self._do(json.loads(request.readline()))
            except _Refused as refused:
                answer = {"error": str(refused), "remedy": refused.remedy}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                answer = {"error": f"invalid request: {error!r}"}
            connection.sendall(protocol.encode(answer))

    def _do(self, request: dict[str, Any]) -> State:
        what = request["do"]
        if what == "serve":
            self._replace(request["server"], request["debug_port"])
        elif what == "restart":
            self._replace(self._server, self._debug_port)
        elif what != "look":
            raise ValueError(what)
        return self._state()

    def _replace(self, server: str, debug_port: int | None) -> None:
        if server not in SERVERS:
            raise ValueError(server)
        if debug_port and debug_port != self._debug_port and ports.listens(debug_port):
            self._refuse_taken(debug_port)
        self._stop(SWITCH_PATIENCE)
        if debug_port and ports.listens(debug_port):
            self._crashes, self._start_at = 0, time.monotonic()
            self._refuse_taken(debug_port)
        self._server, self._debug_port = server, debug_port
        self._crashes = 0
        self._start()

    def _refuse_taken(self, port: int) -> None:
        raise _Refused(
            f"port {port} for the debugger is taken by {ports.holder(port) or 'another program'}",
            "stop that program, then try again",
        )

    def _state(self) -> State:
        return State(
            server=self._server,
            debug_port=self._debug_port,
            reload=self._server == "runserver" or self._asks_reload == "true",
            phase="running" if self._child else "crashed",
            pid=self._child.pid if self._child else 0,
            since=self._since,
            crashes=self._crashes,
            exit_status=self._exit_status,
            checkout=str(ROOT),
        )

    # The server

    @property
    def _asks_reload(self) -> str:
        # Always under a debugger: breakpoints need the current code.
        return "true" if self._debug_port else self._reload

    def _start(self) -> None:
        self._since = time.time()
        chosen = {
            "SERVER": self._server,
            "DEBUGPY_PORT": str(self._debug_port or ""),
            "RELOAD": self._asks_reload,
        }
        debugger = f", debugger on port {self._debug_port}" if self._debug_port else ""
        _say(f"starting {self._server}{debugger}")
        # Another program may use the port now, and release it before the next start.
        self._web = self._web or _web_socket(self._environment.get("WEB_BIND", ""))
        handed = [self._web.fileno()] if self._web else []
        try:
            self._child = subprocess.Popen(
                [*self._command, *map(str, handed)],
                pass_fds=handed,
                cwd=BACKEND,
                env={**self._environment, **chosen},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # and with it a new process group
            )
        except OSError as error:
            _say(f"{self._command[0]} cannot be run: {error.strerror}")
            self._crashed(127)

    @property
    def _time_left(self) -> float | None:
        """Seconds until the server is restarted; None while it runs."""
        return None if self._child else max(0.0, self._start_at - time.monotonic())

    def _start_if_due(self) -> None:
        if self._child or self._ending:
            return
        if time.monotonic() >= self._start_at:
            self._start()

    def _crashed(self, exit_status: int) -> None:
        self._child = None
        self._exit_status = exit_status
        if time.time() - self._since > STEADY:
            self._crashes = 0
        pause = PAUSES[min(self._crashes, len(PAUSES) - 1)]
        self._crashes += 1
        self._start_at = time.monotonic() + pause
        how = f"{self._server} ended (exit status {exit_status})"
        _say(f"{how}; restarting in {pause} s")

    def _stop(self, patience: float) -> None:
        """Stop the server and all its descendants, and wait until they are gone."""
        child, self._child = self._child, None
        if child:
            # A process paused at a breakpoint waits for its request to end.
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)
                if _wait(lambda: self._gone(child.pid), patience):
                    break
        self._clear()

    def _clear(self) -> None:
        """Kill processes outside the server's group, such as the debugger's adapter."""
        leftovers.end(self._mark, self._reap)
        if self._debug_port:
            port = self._debug_port
            _wait(lambda: not ports.listens(port), SWITCH_PATIENCE)

    def _gone(self, group: int) -> bool:
        self._reap()
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # macOS raises this for a group of zombies
            return True
        return False

    def _reap(self) -> None:
        """Reap all processes that have exited: the server and orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self._child and pid == self._child.pid:
                child, self._child = self._child, None
                child.returncode = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # its orphaned children
                self._clear()
                self._crashed(child.returncode)


class _Refused(Exception):
    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


# Set-up


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="supervisor")
    parser.add_argument("--socket", type=Path, default=protocol.SOCKET)
    parser.add_argument("--log", type=Path, help="file for a copy of all output; needs no --socket")
    parser.add_argument("command", nargs="*", default=["bin/web"])
    options = parser.parse_args(arguments)
    log = options.log
    if options.socket == protocol.SOCKET:
        # Anyone can create a directory in /tmp, but only its owner can change its mode.
        protocol.HOME.mkdir(mode=0o700, exist_ok=True)
        protocol.HOME.chmod(0o700)
        log = log or protocol.LOG
    with _copied_output(log) if log else contextlib.nullcontext():
        return Supervisor(options.command, options.socket, os.environ).run()


def _web_socket(address: str) -> socket.socket | None:
    """A socket that listens on `address`; None if the server has to open it."""
    host, _, port = address.rpartition(":")
    if not (host and ports.valid(port)):
        return None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=2048)
    except OSError as error:
        _say(f"cannot listen on {address}: {error.strerror}")
        return None


def _adopt_orphans() -> None:
    """Become a child subreaper, which process 1 is anyway."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def _wakened_by_signals(end: Callable[[], None]) -> Iterator[socket.socket]:
    """A socket that becomes readable after a signal; SIGTERM and SIGINT also call `end`."""
    reading, writing = socket.socketpair()
    for side in (reading, writing):
        side.setblocking(False)
    with reading, writing:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: end())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writing.fileno())
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(-1)


@contextlib.contextmanager
def _copied_output(log: Path) -> Iterator[None]:
    """Copy all output of this process and its descendants into `log`."""
    reading, writing = os.pipe()
    stdout, stderr = os.dup(1), os.dup(2)
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    copier = threading.Thread(target=_copy, args=(reading, stdout, log), daemon=True)
    copier.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        copier.join(1)  # a process that still holds the pipe must not delay the exit


def _copy(reading: int, stdout: int, log: Path) -> None:
    with log.open("wb", buffering=0) as file:
        while chunk := os.read(reading, 65536):
            with contextlib.suppress(OSError):  # the reader is gone: continue with the log
                os.write(stdout, chunk)
            if file.tell() > _LOG_BYTES:
                file.truncate(0)
                file.seek(0)
            file.write(chunk)


def _wait(condition: Callable[[], bool], patience: float) -> bool:
    """Wait, at most `patience` seconds, until `condition` holds; return whether it does."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(TURN)
    return True


def _say(text: str) -> None:
    print(f"supervisor: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
