"""The engine inside the dev container: bin/workspace with servers that have faults."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from front_door import ROOT, serving
from running_stack import free_ports

from devtools import devcontainer, emulators, ports, processes
from devtools.checkout import Checkout
from devtools.engines.devcontainer import DevContainerEngine
from devtools.errors import DevError, NoAnswer
from devtools.readiness import wait_until
from devtools.supervision import client, web
from devtools.supervision.client import Client, State
from devtools.terminal import Terminal

SERVER = Path(__file__).with_name("supervised.py")

pytestmark = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens"
)


class Workspace:
    """A dev container's main process in a checkout whose bin/web has faults."""

    def __init__(self, place: Path, port: int) -> None:
        self.place = place
        self.port = port
        self.home = place / "home"
        self.supervisor = Client(self.home / "supervisor.sock")
        self.process: subprocess.Popen[bytes] | None = None
        programs = place / "backend" / "bin"
        programs.mkdir(parents=True)
        shutil.copy(ROOT / "backend" / "bin" / "workspace", programs)
        (programs / "web").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{SERVER}" "{place}" "$@"\n'
        )
        (programs / "web").chmod(0o755)
        (place / ".devcontainer").symlink_to(ROOT / ".devcontainer")
        (place / "devtools").symlink_to(ROOT / "devtools")

    def start(self, **variables: str) -> State:
        """Start it and return the server's state once it runs."""
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [self.place / "backend" / "bin" / "workspace", self.home],
            env={
                "PATH": programs,
                "SERVER": "gunicorn",
                "WEB_BIND": f"127.0.0.1:{self.port}",
                **variables,
            },
            stdout=subprocess.DEVNULL,
        )
        return self.eventually(lambda state: state.running and self.starts())

    def have(self, *faults: str) -> None:
        for fault in faults:
            (self.place / fault).write_text("")

    def fix(self, fault: str) -> None:
        (self.place / fault).unlink()

    def look(self) -> State:
        return self.supervisor.states()["web"]

    def eventually(self, holds, within: float = 30) -> State:
        """Return the first state for which `holds` is true."""

        def arrived() -> State | None:
            state = self.look() if self.supervisor.answers else None
            return state if state and holds(state) else None

        return wait_until(arrived, within, "it did not come to that")

    def processes(self) -> list[int]:
        """The server and all its descendants."""
        return processes.marked(self.marks)

    @property
    def marks(self) -> dict[str, str]:
        return {"DEV_CHECKOUT": str(self.place), "DEV_SERVICE": "web"}

    def starts(self) -> list[list[str]]:
        """Time, process, server and RELOAD of each start of the server."""
        try:
            text = (self.place / "started").read_text()
        except FileNotFoundError:
            return []
        return [line.split() for line in text.splitlines()]

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        processes.end({"DEV_CHECKOUT": str(self.place)})


@pytest.fixture
def port() -> int:
    return int(free_ports("DEBUG")["DEBUG"])


@pytest.fixture
def workspace(monkeypatch):
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path must be short
    made = Workspace(place, int(free_ports("WEB")["WEB"]))
    for name, path in {"SOCKET": "supervisor.sock", "LOG": "web.log", "CHOICE": "web.env"}.items():
        monkeypatch.setattr(devcontainer, name, made.home / path)
    monkeypatch.setattr(devcontainer, "_CHECKOUT", made.home / "checkout")
    yield made
    made.end()
    shutil.rmtree(place)


@pytest.fixture
def inside(workspace, port, monkeypatch):
    """The engine of its dev container."""
    shutil.copy(ROOT / "docker-compose.yml", workspace.place)
    engine = DevContainerEngine(Checkout(workspace.place, {}), Terminal())
    monkeypatch.setattr(DevContainerEngine, "_port", workspace.port)
    monkeypatch.setattr(DevContainerEngine, "debug_port", port)
    monkeypatch.setattr(engine, "missing_packages", list)  # avoids an installation
    return engine


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def serve(engine, server: str, *, debug: bool = False, timeout: float = 30) -> bool:
    return engine.serve(server, debug=debug, timeout=timeout)


# One server at a time


def test_it_starts_the_server_of_its_environment(workspace):
    workspace.start(SERVER="runserver")
    assert workspace.starts()[-1][2] == "runserver"
    wait_until(lambda: "runserver starts" in devcontainer.LOG.read_text(), 60, "no log")
    assert devcontainer.inside(workspace.place)
    assert not devcontainer.inside(ROOT)


def test_a_switch_ends_the_old_server_before_it_returns(workspace, inside):
    before = workspace.start()
    assert serve(inside, "runserver")
    assert not _alive(before.pid)
    assert workspace.processes() == [workspace.look().pid]
    assert workspace.starts()[-1][2] == "runserver"
    assert not serve(inside, "runserver")


def test_a_request_during_a_switch_waits_and_is_answered(workspace, inside):
    workspace.have("slow")
    workspace.start()
    answers = []

    def ask() -> None:
        while not enough.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", workspace.port, timeout=60)
            connection.request("GET", "/")
            answers.append(json.loads(connection.getresponse().read())["server"])

    enough = threading.Event()
    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: answers, 60, "no answer")
    serve(inside, "runserver")
    wait_until(lambda: "runserver" in answers, 60, "no answer of the new server")
    enough.set()
    asking.join()
    assert {"gunicorn", "runserver"} <= set(answers)


def test_a_server_that_ignores_signals_is_killed(workspace, inside, monkeypatch):
    monkeypatch.setattr(web, "PATIENCE", 0.5)
    workspace.have("stubborn")
    before = workspace.start()
    wait_until(lambda: len(workspace.processes()) == 2, 60, "it has no child")
    workspace.fix("stubborn")
    inside.restart([], timeout=30)
    after = workspace.look()
    assert after.pid != before.pid
    assert workspace.processes() == [after.pid]


def test_a_server_that_is_slow_is_waited_for_and_not_replaced(workspace, inside):
    workspace.have("deaf")
    before = workspace.start()
    with pytest.raises(DevError, match="not ready"):
        serve(inside, "gunicorn", timeout=0.2)
    assert workspace.look().pid == before.pid


# Crashes


def test_a_killed_server_comes_back_without_its_children(workspace):
    workspace.have("stubborn")
    before = workspace.start()
    wait_until(lambda: len(workspace.processes()) == 2, 60, "it has no child")
    workspace.fix("stubborn")
    os.kill(before.pid, signal.SIGKILL)
    after = workspace.eventually(lambda state: state.running and len(workspace.starts()) == 2)
    assert workspace.processes() == [after.pid]


def test_a_broken_server_is_reported_and_runs_once_it_is_mended(workspace, inside):
    workspace.start()
    workspace.have("broken")
    with pytest.raises(DevError, match="web: crashed"):
        serve(inside, "runserver")
    workspace.eventually(lambda state: state.crashed)
    assert {one.name: one.state for one in inside.status().services}["web"] == "crashed"
    workspace.fix("broken")
    workspace.eventually(lambda state: state.running and workspace.starts()[-1][2] == "runserver")


# Debuggers


def test_a_debugged_server_reloads_and_its_adapter_goes_with_it(workspace, inside, port):
    workspace.start()
    serve(inside, "gunicorn", debug=True)
    assert ports.listens(port)
    assert workspace.starts()[-1][3] == "true"
    first = set(workspace.processes())
    # An editor that stays connected.
    with socket.create_connection(("127.0.0.1", port)):
        assert ports.connected(port)
        serve(inside, "runserver", debug=True)
        assert not first & set(workspace.processes())
    serve(inside, "runserver")
    assert not ports.listens(port)


def test_a_debuggers_port_that_is_taken_is_named_and_the_server_stays(workspace, inside, port):
    before = workspace.start()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        with pytest.raises(DevError, match=rf"port {port} .* is taken by \S+ \(process "):
            serve(inside, "gunicorn", debug=True)
    assert workspace.look() == before


# Stopping, and orphans


def test_sigterm_lets_the_server_drain(workspace):
    workspace.have("drains")
    state = workspace.start()
    wait_until(lambda: _handles(state.pid, signal.SIGTERM), 60, "it has no handler")
    workspace.process.terminate()
    assert workspace.process.wait(timeout=60) == 0
    assert (workspace.place / "drained").exists()
    assert workspace.processes() == []


def _handles(pid: int, number: int) -> bool:
    caught = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line
    )
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))


# A supervisor that is busy


@pytest.fixture
def busy(tmp_path, monkeypatch):
    """The socket of a supervisor that does not answer in time."""
    monkeypatch.setattr(client, "_ANSWER_WITHIN", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path = tmp_path / "s"
        listener.bind(str(path))
        listener.listen(2)
        yield path


def test_a_busy_supervisor_is_not_reported_as_absent(busy):
    with pytest.raises(NoAnswer, match="does not answer: timed out"):
        _ = Client(busy).answers


def test_a_supervisor_with_a_full_queue_is_not_reported_as_absent(busy):
    with contextlib.ExitStack() as waiting:
        with contextlib.suppress(BlockingIOError):
            while True:
                one = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                one.setblocking(False)
                one.connect(str(busy))
        with pytest.raises(NoAnswer):
            _ = Client(busy).answers


def test_a_stopped_supervisor_is_absent(busy):
    assert not Client(busy.with_name("nowhere")).answers
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ended:
        ended.bind(str(busy.with_name("ended")))
    assert not Client(busy.with_name("ended")).answers


def test_following_waits_for_one_that_is_busy(busy, inside, monkeypatch):
    inside.supervisor = Client(busy)
    with pytest.raises(DevError, match=r"not ready .* does not answer yet"):
        inside._follow(timeout=0.3)


# `./dev up` inside the dev container


class Emulator(http.server.BaseHTTPRequestHandler):
    """Returns the states of `server.states` for its scripts in turn, then repeats the last."""

    def do_GET(self):
        states = self.server.states
        state = states.pop(0) if len(states) > 1 else states[0]
        if state == "SLOW":
            time.sleep(3 * emulators.TIMEOUT)
        self.send_response(http.HTTPStatus.OK)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has gone
            self.wfile.write(json.dumps({"scripts": [{"state": state}]}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def emulator():
    with serving(Emulator) as server:
        server.states = ["SUCCESSFUL"]
        yield server


@pytest.fixture
def engine(workspace, inside, emulator, monkeypatch):
    """The engine of a dev container whose other services listen on this machine."""
    monkeypatch.setattr(emulators, "TIMEOUT", 0.2)
    inside.places = dict.fromkeys(("db", "redis", "localstack", "cognito"), emulator.server_port)
    monkeypatch.setattr(inside, "_address", lambda name: ("127.0.0.1", inside.places[name]))
    workspace.start()
    return inside


def up(engine, timeout: float = 30) -> bool:
    return engine.up(build=False, debug=False, timeout=timeout)


def test_up_waits_until_the_emulators_are_seeded(engine, emulator):
    emulator.states = ["SLOW", "UNKNOWN", "RUNNING", "SUCCESSFUL"]
    up(engine)
    assert emulator.states == ["SUCCESSFUL"]


@pytest.mark.parametrize("state", ["RUNNING", "SLOW"])
def test_up_names_an_emulator_that_is_not_seeded(engine, emulator, state):
    emulator.states = [state]
    with pytest.raises(DevError, match="localstack: not ready") as raised:
        up(engine, timeout=0.5)
    assert "./dev restart localstack" in raised.value.problems[0].remedy


def test_up_does_not_wait_for_an_emulator_whose_seed_failed(engine, emulator):
    emulator.states = ["ERROR"]
    with pytest.raises(DevError, match="localstack: its seed failed") as raised:
        up(engine, timeout=600)
    assert "./dev logs localstack" in raised.value.problems[0].remedy


@pytest.mark.parametrize("silent", ["db", "redis", "localstack", "cognito"])
def test_up_names_a_service_that_stays_silent(engine, silent):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # keeps the port from all others, and refuses connections
        engine.places[silent] = closed.getsockname()[1]
        with pytest.raises(DevError, match=rf"{silent}: not ready .*\(silent\)") as raised:
            up(engine, timeout=0.1)
    assert "on your machine" in raised.value.problems[0].remedy


def test_up_starts_a_web_that_does_not_run(engine, workspace):
    workspace.supervisor.stop({"web": 10}, keep_socket=True)
    assert up(engine)
    assert workspace.look().running
