"""Each check finds its problem, in a checkout or on a machine that has it."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import SimpleNamespace
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest
from front_door import serving

from devtools import environment
from devtools.checkout import Checkout
from devtools.doctor import checkout, examination, machine
from devtools.doctor import services as checked
from devtools.doctor.check import Check, State, ok
from devtools.embedded.supervisor import Supervisor
from devtools.errors import DevError
from devtools.health import Health
from devtools.status import ServiceStatus, StackStatus
from devtools.supervision.client import Client

INFO = {
    "MemTotal": 8 * 1024**3,
    "DockerRootDir": "/",
    "SystemTime": datetime.now(UTC).isoformat(),
}


def _docker(**info) -> str:
    """A fake daemon that answers and returns `info`."""
    version = json.dumps({"Server": {"Version": "26.1.5"}})
    said = json.dumps({**INFO, "SystemTime": datetime.now(UTC).isoformat(), **info})
    configuration = json.dumps({"name": "faulty", "services": {}})
    return f"""case "$*" in
    version*) echo '{version}' ;;
    info*DockerRootDir*) echo '{info.get("DockerRootDir", "/")}' ;;
    info*) echo '{said}' ;;
    "compose version"*) echo 2.26.1 ;;
    "compose config"*) echo '{configuration}' ;;
    esac"""


def _examined(workspace, *arguments: str) -> tuple[dict[str, dict], int]:
    """The results of `./dev doctor --json`, by check, and its exit status."""
    done = workspace.dev("doctor", "--json", *arguments)
    assert done.stdout, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["checks"]}, done.returncode


def _one(workspace, name: str, *arguments: str) -> dict:
    return _examined(workspace, name, *arguments)[0][name]


# All checks


def test_what_does_not_apply_is_shown_with_its_reason(workspace, fake_docker):
    fake_docker("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    workspace.write("docker-compose.yml", "services: {}\n")
    found, status = _examined(workspace)
    assert [*found] == [*examination.CHECKS]
    assert found["image"]["state"] == "not applicable"
    assert found["image"]["finding"] == "the stack runs on the embedded engine"
    assert all(one["finding"] for one in found.values())
    assert status == 0
    shown = workspace.dev("doctor").stdout
    assert "image" in shown
    assert "not applicable: the stack runs on the embedded engine" in shown


def test_each_successful_check_is_one_line(workspace, fake_docker):
    fake_docker(_docker())
    done = workspace.dev("doctor", "line-endings", "permissions", "environment-file")
    assert done.returncode == 0
    _engine, *lines = done.stdout.rstrip().splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        *(["✔", "environment-file"], ["✔", "line-endings"], ["✔", "permissions"])
    ]
    assert lines[3:] == ["", "3 ok"]


def test_a_fault_sets_the_exit_status_and_a_warning_does_not(workspace, fake_docker):
    fake_docker(_docker())
    workspace.write(".env", "A=1")
    assert _examined(workspace, "environment-file")[1] == 0
    workspace.write(".env", "A B=1\n")
    assert _examined(workspace, "environment-file")[1] == 1


def test_an_unknown_check_gets_a_suggestion(workspace):
    done = workspace.dev("doctor", "port")
    assert done.returncode == 2
    assert "did you mean ports?" in done.stderr


def test_a_check_that_hangs_is_reported_as_late(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(examination, "LIMIT", 0.2)
    checks = {
        "stuck": Check("stuck", lambda _: never.wait() and ok("late")),
        "quick": Check("quick", lambda _: ok("done")),
    }
    stuck, quick = examination.examine(None, checks=checks)
    never.set()
    assert (stuck.state, quick.state) == (State.UNKNOWN, State.OK)
    assert examination.passed([stuck, quick])
    assert "no answer" in stuck.finding
    assert "./dev doctor stuck" in stuck.remedy


def test_what_does_not_answer_in_time_is_unknown():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        web = ServiceStatus("web", "healthy", True, "2026-01-01T10:00:00", 1, f"127.0.0.1:{port}")
        here = SimpleNamespace(
            status=StackStatus("compose", "p", [web], None), address=lambda _: ("127.0.0.1", port)
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checked, "PATIENCE", 0.1)
            [found] = examination.examine(here, ["services"])
    assert found.state is State.UNKNOWN
    assert "did not answer" in found.finding


@pytest.mark.parametrize("check", ["services", "migrations"])
def test_what_web_could_not_ask_in_time_is_unknown(check):
    late = {"status": "error", "error": "no answer within 1.5 s"}
    said = Health("error", "gunicorn", dict.fromkeys(("database", "migrations"), late))
    web = _service("web", since="2026-01-01T10:00:00")
    here = SimpleNamespace(
        status=StackStatus("compose", "p", [web], said), address=lambda _: ("127.0.0.1", 0)
    )
    [found] = examination.examine(here, [check])
    assert found.state is State.UNKNOWN
    assert "no answer within" in found.finding


def test_migrations_are_not_checked_while_web_cannot_use_the_database():
    refused = {"status": "fail", "error": "password authentication failed"}
    said = Health("fail", "gunicorn", dict.fromkeys(("database", "migrations"), refused))
    here = SimpleNamespace(
        status=StackStatus("compose", "p", [_service("web", since="2026-01-01T10:00:00")], said)
    )
    [found] = examination.examine(here, ["migrations"])
    assert found.state is State.NOT_APPLICABLE
    assert "see services" in found.finding


def test_each_failing_entry_has_a_separate_remedy():
    failing = {
        "cache": {"status": "fail", "error": "gone"},
        "files": {"status": "fail", "error": "no bucket, make it: ./dev restart localstack"},
        "unknown_migrations": {"status": "fail", "error": "ahead; run: ./dev doctor migrations"},
    }
    services = [
        _service("web", since="2026-01-01T10:00:00"),
        _service("db", since="2026-01-01T10:00:00", healthy=False),
        _service("worker", since=None, healthy=False),
    ]
    status = StackStatus("compose", "p", services, Health("fail", "gunicorn", failing))
    found = checked.services.examine(
        SimpleNamespace(status=status, address=lambda _: ("127.0.0.1", 0))
    )
    assert found.remedy.splitlines() == [
        "./dev logs db   and then ./dev restart db",
        "./dev up",
        "./dev restart redis",
    ]
    assert "migrations" not in found.finding


class SupervisorHandler(SimpleXMLRPCRequestHandler):
    disable_nagle_algorithm = False
    rpc_paths = ()


class FakeSupervisor(ThreadingMixIn, UnixStreamServer, SimpleXMLRPCDispatcher):
    """The API of supervisord on the socket `path`; tests register the methods."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path, handler=SupervisorHandler):
        SimpleXMLRPCDispatcher.__init__(self)
        self.logRequests = False
        UnixStreamServer.__init__(self, str(path), handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_checks_ask_the_supervisor_side_by_side(tmp_path):
    path = tmp_path / "s"
    with FakeSupervisor(path) as server, ThreadPoolExecutor(16) as pool:
        server.register_function(lambda: time.sleep(0.02) or [], "supervisor.getAllProcessInfo")
        places = SimpleNamespace(supervisor_socket=path, scripts=tmp_path)
        supervisor = Supervisor(places, Path(sys.executable))
        answers = list(pool.map(lambda _: supervisor.states(), range(64)))
        server.shutdown()
    assert answers == [{}] * 64


def test_a_supervisor_that_fails_is_not_read_as_absent(tmp_path):
    class Failing(SupervisorHandler):
        def decode_request_content(self, data):
            raise RuntimeError("answered with status 500")

        def log_message(self, *_):
            """Print nothing."""

    path = tmp_path / "s"
    with FakeSupervisor(path, Failing) as server:
        with pytest.raises(DevError, match="failed to do getState: 500"):
            _ = Client(path).answers
        server.shutdown()


def test_an_internal_error_of_a_check_does_not_hide_the_others():
    checks = {
        "broken": Check("broken", lambda _: {}["gone"]),
        "quick": Check("quick", lambda _: ok("done")),
    }
    broken, quick = examination.examine(None, checks=checks)
    assert "internal error in the check: KeyError" in broken.finding
    assert quick.state is State.OK


# The machine


@pytest.mark.parametrize(
    ("script", "finding"),
    [
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "daemon is not running"),
        ('echo \'{"Server": {"Version": "24.0.7"}}\'', "Engine 24.0.7 is too old"),
    ],
)
def test_an_unsuitable_docker(workspace, fake_docker, script, finding):
    fake_docker(script)
    found = _one(workspace, "docker", "--engine", "compose")
    assert found["state"] == "wrong"
    assert finding in found["finding"]
    assert found["remedy"]


def test_a_missing_docker_is_ok_if_it_is_not_needed(workspace, fake_docker):
    fake_docker("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    found = _one(workspace, "docker")
    assert found["state"] == "not applicable"
    assert "the embedded engine does not need Docker" in found["finding"]


def test_a_docker_with_little_memory(workspace, fake_docker):
    fake_docker(_docker(MemTotal=1024**3))
    found = _one(workspace, "memory")
    assert found["state"] == "warning"
    assert "Docker has 1.0 GB of memory; the stack needs 2.0 GB" in found["finding"]


def test_a_docker_without_disk_space(workspace, fake_docker):
    fake_docker(_docker(DockerRootDir="/proc"))  # a file system without free space
    found = _one(workspace, "disk")
    assert found["state"] == "warning"
    assert "only 0.0 GB are free" in found["finding"]
    assert "docker system prune" in found["remedy"]


def test_a_checkout_without_disk_space():
    full = SimpleNamespace(
        composed=False, embedded=SimpleNamespace(checkout=Checkout(Path("/proc"), {}))
    )
    found = machine.disk.examine(full)
    assert found.state is State.WRONG
    assert "only 0 MB are free on the disk of /proc" in found.finding


@pytest.fixture
def installed(workspace):
    """The checkout, with a `.venv` that has the locked packages."""
    workspace.write("requirements/embedded.txt", "uv==1.0\n")
    (workspace.root / ".venv" / "bin").mkdir(parents=True)
    (workspace.root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    here = Checkout(workspace.root, {})
    workspace.write(".venv/installed", environment._stamp(here))
    workspace.write(".venv/installed-set", environment._record(here, environment.STACK))
    assert _one(workspace, "python")["state"] == "ok"
    return workspace


def test_an_outdated_venv(installed):
    installed.write("requirements/embedded.txt", "uv==2.0\n")
    found = _one(installed, "python")
    assert found["state"] == "warning"
    assert "requirements/embedded.txt locks" in found["finding"]


def test_a_venv_that_was_moved_with_its_checkout(installed):
    installed.root = installed.root.rename(installed.root.with_name("renamed"))
    found = _one(installed, "python")
    assert found["state"] == "warning"
    assert ".venv was moved or copied" in found["finding"]


# The checkout


def test_a_dotenv_that_cannot_be_read(workspace):
    workspace.write(".env", "A B=1\nC='\n")
    found = _one(workspace, "environment-file")
    assert found["state"] == "wrong"
    assert found["finding"].count("\n") == 1
    assert found["remedy"]


def test_a_dollar_in_dotenv_that_names_no_variable_is_reported(workspace):
    workspace.write(".env", "SECRET_KEY=a$b(c)&d\n")
    found = _one(workspace, "environment-file")
    assert found["state"] == "warning"
    assert ".env, line 1: `$b` names nothing" in found["finding"]


def test_a_missing_newline_at_the_end_of_dotenv_is_added(workspace):
    path = workspace.write(".env", "A=1")
    assert _one(workspace, "environment-file")["state"] == "warning"
    assert _one(workspace, "environment-file", "--fix")["state"] == "ok"
    assert path.read_text() == "A=1\n"


def test_permissions_are_fixed(workspace, fake_docker):
    fake_docker(_docker())
    workspace.write("backend/bin/web", "#!/bin/sh\n", mode=0o644)
    closed = workspace.write("init-scripts/postgres/01.sql", "SELECT 1;", mode=0o600)
    found = _one(workspace, "permissions")
    assert found["state"] == "wrong"
    assert "backend/bin/web is not executable" in found["finding"]
    assert "init-scripts is not readable by other users" in found["finding"]
    assert _one(workspace, "permissions", "--fix")["state"] == "ok"
    assert os.access(workspace.root / "backend" / "bin" / "web", os.X_OK)
    assert closed.stat().st_mode & 0o777 == 0o644


def test_files_of_another_user(workspace, monkeypatch):
    workspace.write("backend/made_by_sudo.py", "")
    monkeypatch.setattr(os, "getuid", lambda: workspace.root.stat().st_uid + 1000)
    found = checkout.ownership.examine(SimpleNamespace(checkout=Checkout(workspace.root, {})))
    assert found.state is State.WRONG
    assert "you do not own" in found.finding
    assert "sudo chown -R" in found.remedy


# The stack


def _service(name: str, *, since: str | None, healthy: bool = True) -> ServiceStatus:
    return ServiceStatus(name, "healthy" if healthy else "failed", healthy, since, 1, None)


@pytest.fixture
def emulator():
    """An HTTP server that returns `answer` for every path, or 404."""

    class Emulator(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.server.answer is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(self.server.answer).encode())

        def log_message(self, *_):
            pass

    with serving(Emulator) as server:
        server.answer = None
        yield server


@pytest.mark.parametrize(
    ("port", "answer", "finding"),
    [
        ("held", None, "answering and seeded"),  # moto answers only after it is seeded
        ("held", {"scripts": [{"state": "SUCCESSFUL"}]}, "answering and seeded"),
        ("held", {"scripts": [{"state": "RUNNING"}]}, "not seeded: localstack"),
        ("held", {"scripts": []}, "not seeded: localstack"),
        ("none", None, "no answer: localstack"),
    ],
)
def test_aws_emulators_answer_and_are_seeded(emulator, port, answer, finding):
    emulator.answer = answer
    here = SimpleNamespace(
        status=StackStatus("compose", "p", [_service("localstack", since="")], None),
        address=lambda _: ("127.0.0.1", emulator.server_port if port == "held" else 0),
    )
    found = checked.emulators.examine(here)
    assert finding in found.finding
    assert (found.state is State.OK) == ("and seeded" in finding)
