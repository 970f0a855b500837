"""The supervisor of the web server, with real processes and servers with faults."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from front_door import ROOT, serving

from devtools import emulators, ports
from devtools import supervisor_protocol as protocol
from devtools.checkout import Checkout
from devtools.engines.workspace import WorkspaceEngine
from devtools.errors import DevError, NoAnswer
from devtools.readiness import wait_until
from devtools.supervisor_protocol import Control, State
from devtools.terminal import Terminal
from devtools.workspace import leftovers, switch
from devtools.workspace.supervisor import MARK, PAUSES

SERVER = Path(__file__).with_name("supervised.py")

pytestmark = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens"
)


class Workspace:
    """A supervisor with separate paths."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.socket = place / "supervisor.sock"
        self.control = Control(self.socket)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> State:
        """Start the supervisor and return its state."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-B", "-m", "devtools.workspace.supervisor"),
                *("--socket", self.socket, "--log", self.place / "log"),
                *(sys.executable, SERVER, self.place),
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "SERVER": "gunicorn", **variables},
            stdout=subprocess.DEVNULL,
        )
        return self.eventually(lambda state: state.pid)

    def have(self, *faults: str) -> None:
        for fault in faults:
            (self.place / fault).write_text("")

    def look(self) -> State:
        state = self.control.look()
        assert state
        return state

    def eventually(self, holds, within: float = 30) -> State:
        """Return the first state for which `holds` is true."""
        found: list[State] = []

        def arrived() -> bool:
            state = self.control.look()
            if state and holds(state):
                found.append(state)
            return bool(found)

        wait_until(arrived, within, "it did not come to that")
        return found[0]

    def processes(self) -> list[int]:
        """All descendants of the server."""
        return leftovers.marked({MARK: str(self.socket)})

    def starts(self) -> list[list[str]]:
        """Time, process and RELOAD of each start of the server."""
        return [line.split() for line in (self.place / "started").read_text().splitlines()]

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        leftovers.end({MARK: str(self.socket)})


@pytest.fixture
def workspace():
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path must be short
    made = Workspace(place)
    yield made
    made.end()
    shutil.rmtree(place)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


# One server at a time


def test_it_starts_the_server_of_its_environment(workspace):
    state = workspace.start(SERVER="runserver")
    assert (state.server, state.debug_port, state.phase) == ("runserver", None, "running")
    assert (state.reload, state.crashes, state.checkout) == (True, 0, str(ROOT))
    wait_until(lambda: "runserver starts" in (workspace.place / "log").read_text(), 10, "no log")


def test_a_switch_ends_the_old_server_before_it_answers(workspace):
    before = workspace.start()
    after = workspace.control.serve("runserver", None)
    assert after.server == "runserver"
    assert not _alive(before.pid)
    assert workspace.processes() == [after.pid]


def test_two_switches_in_a_row_leave_the_second(workspace):
    workspace.start()
    workspace.control.serve("runserver", None)
    last = workspace.control.serve("gunicorn", None)
    assert workspace.look() == last
    assert workspace.processes() == [last.pid]


def test_a_server_that_ignores_signals_is_killed(workspace):
    workspace.have("stubborn")
    before = workspace.start()
    wait_until(lambda: len(workspace.processes()) == 2, 10, "it has no child")
    (workspace.place / "stubborn").unlink()
    after = workspace.control.serve("gunicorn", None)
    assert after.pid != before.pid
    assert workspace.processes() == [after.pid]


def test_an_invalid_request_changes_nothing(workspace):
    before = workspace.start()
    with pytest.raises(DevError, match="invalid request"):
        workspace.control.serve("apache", None)
    assert workspace.look() == before


def test_a_second_supervisor_in_the_same_place_is_refused(workspace):
    before = workspace.start()
    second = subprocess.run(
        [
            *(sys.executable, "-B", "-m", "devtools.workspace.supervisor"),
            *("--socket", workspace.socket, "true"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "another supervisor listens" in second.stderr
    assert workspace.look() == before


# Crashes


def test_a_killed_server_comes_back(workspace):
    before = workspace.start()
    os.kill(before.pid, signal.SIGKILL)
    after = workspace.eventually(lambda state: state.pid not in (0, before.pid))
    assert (after.crashes, after.exit_status) == (1, -signal.SIGKILL)


def test_the_pauses_between_crashes_grow_and_the_fixed_server_runs(workspace):
    workspace.have("broken")
    workspace.start()
    state = workspace.eventually(lambda state: state.crashes == 3)
    assert state.exit_status == 3
    moments = [float(start[0]) for start in workspace.starts()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(pause >= least for pause, least in zip(pauses, PAUSES, strict=False))
    (workspace.place / "broken").unlink()
    workspace.eventually(lambda state: state.phase == "running" and state.crashes == 3)
    assert workspace.process.poll() is None
    assert workspace.control.serve("gunicorn", None).crashes == 0


def test_children_of_a_dead_server_do_not_keep_its_place(workspace):
    workspace.have("stubborn")
    before = workspace.start()
    wait_until(lambda: len(workspace.processes()) == 2, 10, "it has no child")
    (workspace.place / "stubborn").unlink()
    os.kill(before.pid, signal.SIGKILL)
    after = workspace.eventually(lambda state: state.pid not in (0, before.pid))
    assert workspace.processes() == [after.pid]


def test_the_next_supervisor_stops_orphans_of_a_killed_one(workspace):
    before = workspace.start()
    workspace.process.kill()
    workspace.process.wait()
    assert _alive(before.pid)
    after = workspace.start()
    assert not _alive(before.pid)
    assert workspace.processes() == [after.pid]


# Debuggers


def test_a_debugged_server_reloads_and_its_adapter_goes_with_it(workspace, port):
    workspace.start()
    workspace.control.serve("gunicorn", port)
    wait_until(lambda: ports.listens(port), 10, "no adapter listens")
    assert workspace.starts()[-1][2] == "true"
    first = set(workspace.processes())
    # An editor that stays connected.
    with socket.create_connection(("127.0.0.1", port)):
        assert ports.connected(port)
        state = workspace.control.serve("runserver", port)
        assert state.debug_port == port
        wait_until(lambda: ports.listens(port), 10, "no adapter listens")
        assert not first & set(workspace.processes())
    workspace.control.serve("runserver", None)
    assert not ports.listens(port)


def test_a_debuggers_port_that_is_taken_is_named_and_the_server_stays(workspace, port):
    before = workspace.start()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        with pytest.raises(DevError, match=rf"port {port} .* is taken by \S+ \(process "):
            workspace.control.serve("gunicorn", port)
    assert workspace.look() == before


# Stopping, and orphans


def test_sigterm_lets_the_server_drain(workspace):
    workspace.have("drains")
    state = workspace.start()
    wait_until(lambda: (workspace.place / "started").exists(), 10, "it did not start")
    wait_until(lambda: _handles(state.pid, signal.SIGTERM), 10, "it has no handler")
    workspace.process.terminate()
    assert workspace.process.wait(timeout=20) == 0
    assert (workspace.place / "drained").exists()
    assert workspace.processes() == []
    assert not workspace.socket.exists()


def _handles(pid: int, number: int) -> bool:
    caught = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line
    )
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))


def test_it_reaps_orphans(workspace):
    workspace.have("orphans")
    workspace.start()
    supervisor = psutil.Process(workspace.process.pid)
    wait_until(lambda: len(supervisor.children()) > 1, 10, "no orphan came to it")
    wait_until(lambda: len(supervisor.children()) == 1, 10, "they stay as zombies")


# Clients


@pytest.fixture
def busy(tmp_path, monkeypatch):
    """The socket of a supervisor that does not answer in time."""
    monkeypatch.setattr(protocol, "LOOK_PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path = tmp_path / "s"
        listener.bind(str(path))
        listener.listen(2)
        yield path


def test_a_busy_supervisor_is_not_reported_as_absent(busy, monkeypatch):
    with pytest.raises(NoAnswer, match="does not answer: timed out"):
        Control(busy).look()
    monkeypatch.setattr(protocol, "SOCKET", busy)
    with pytest.raises(NoAnswer):  # otherwise another engine would be chosen
        protocol.inside(ROOT)


def test_a_supervisor_with_a_full_queue_is_not_reported_as_absent(busy):
    with contextlib.ExitStack() as waiting:
        with contextlib.suppress(BlockingIOError):
            while True:
                client = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                client.setblocking(False)
                client.connect(str(busy))
        with pytest.raises(NoAnswer):
            Control(busy).look()


def test_a_stopped_supervisor_is_absent(busy):
    assert Control(busy.with_name("nowhere")).look() is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ended:
        ended.bind(str(busy.with_name("ended")))
    assert Control(busy.with_name("ended")).look() is None


def test_following_waits_for_one_that_is_busy(busy):
    with pytest.raises(DevError, match=r"not ready .* does not answer yet"):
        switch.follow(Control(busy), Terminal(), 1, busy.with_name("log"), timeout=0.3)


def test_a_server_that_is_slow_is_waited_for_and_not_replaced(workspace, port):
    before = workspace.start()
    log = workspace.place / "log"
    with pytest.raises(DevError, match="not ready"):  # it listens on no port
        switch.serve(workspace.control, Terminal(), "gunicorn", None, port, log, timeout=0.2)
    assert workspace.look().pid == before.pid


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
def engine(workspace, emulator, port, tmp_path, monkeypatch):
    """The engine of a dev container whose other services listen on this machine."""
    monkeypatch.setattr(emulators, "TIMEOUT", 0.2)
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    engine = WorkspaceEngine(Checkout(tmp_path, {}), Terminal())
    engine.control = workspace.control
    engine.places = dict.fromkeys(("db", "redis", "localstack", "cognito"), emulator.server_port)
    monkeypatch.setattr(engine, "_address", lambda name: ("127.0.0.1", engine.places[name]))
    monkeypatch.setattr(engine, "missing_packages", list)  # avoids an installation
    workspace.start(DEBUGPY_PORT=str(port))  # it is ready when this port listens
    return engine


def up(engine, timeout: float = 30) -> bool:
    return engine.up(auto_ports=False, build=False, debug=False, timeout=timeout)


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
    with socket.create_server(("127.0.0.1", 0)) as closed:
        engine.places[silent] = closed.getsockname()[1]
    with pytest.raises(DevError, match=rf"{silent}: not ready .*\(silent\)") as raised:
        up(engine, timeout=0.1)
    assert "on your machine" in raised.value.problems[0].remedy


def test_up_resets_the_crashes_of_a_web_whose_dependencies_were_missing(engine, workspace):
    workspace.have("broken")
    workspace.control.restart()
    workspace.eventually(lambda state: state.crashes > switch.CRASHES)
    (workspace.place / "broken").unlink()
    assert up(engine)
    assert workspace.look().crashes == 0
