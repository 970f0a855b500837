"""Parts of the embedded engine that can be tested without a stack."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from devtools import chosen_ports, logs, processes, readiness
from devtools.checkout import Checkout
from devtools.embedded import account
from devtools.embedded.places import Places
from devtools.embedded.runner import Runner
from devtools.embedded.stack import Program
from devtools.embedded.supervisor import Supervisor
from devtools.engines import choice
from devtools.engines.embedded import EmbeddedEngine
from devtools.errors import DevError, NoAnswer
from devtools.preflight import daemon, disk_space
from devtools.readiness import wait_until
from devtools.supervision.client import WATCH, State
from devtools.terminal import Terminal


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path, {"PATH": os.environ["PATH"]})


@pytest.fixture
def places(checkout):
    made = Places(checkout)
    yield made
    shutil.rmtree(made.sockets, ignore_errors=True)


# Paths


def test_a_socket_fits_whatever_the_path_of_the_checkout(tmp_path):
    deep = Places(Checkout(tmp_path / ("long" * 60), {}))
    assert len(str(deep.supervisor_socket)) < 60


def test_two_checkouts_have_different_sockets(tmp_path):
    first, second = (Places(Checkout(tmp_path / name, {})) for name in "ab")
    assert first.sockets != second.sockets
    assert first.outside != second.outside


def test_a_crashing_service_has_no_port_that_another_program_took(checkout, monkeypatch):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(["sleep", "60"]) as another,
    ):
        port = server.getsockname()[1]
        states = {
            "db": State("db", "db", "BACKOFF", 0, another.pid, 1, 1),
            "web": State("web", "web", "BACKOFF", 0, os.getpid(), 1, 1),
        }
        monkeypatch.setattr(Runner, "states", states)
        checkout.remember(chosen_ports.EMBEDDED_NOW, dict.fromkeys(states, port))
        found = Runner(checkout, Terminal(), Places(checkout)).ports_in_use
        another.kill()
    assert found == {"web": port}


def test_a_server_that_stopped_keeps_the_port_of_its_open_socket(checkout, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stopped = State("web", "web:web-1", "STOPPED", 0, os.getpid(), 1, 0)
        gone = State("worker", "worker", "STOPPED", 0, 0, 1, 0)
        monkeypatch.setattr(Runner, "states", {"web": stopped, "worker": gone})
        checkout.remember(chosen_ports.EMBEDDED_NOW, {"web": port, "worker": port})
        found = Runner(checkout, Terminal(), Places(checkout)).ports_in_use
    assert found == {"web": port}


def test_a_daemon_that_is_slow_does_not_choose_the_other_engine(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(daemon, "TIMEOUT", 0.2)
    slow = _with_programs(tmp_path, docker="exec sleep 60")
    with pytest.raises(NoAnswer, match="did not answer"):
        choice.choose("auto", slow, Terminal())


def test_a_directory_of_another_user_is_not_trusted(places, tmp_path):
    places.sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(DevError, match="belongs to another user"):
            places.make_sockets()
    finally:
        places.sockets.unlink()


def test_a_file_is_written_atomically_and_only_for_its_owner(places, tmp_path):
    for text in ("first\n", "second\n"):
        places.checkout.write(tmp_path / "secret", text)
        assert (tmp_path / "secret").read_text() == text
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_not_reported_as_a_permission_error(places):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        Path("/dev/full").write_text("x")
    error = places.checkout.unwritable(caught.value)
    assert "free some space" in error.problems[0].remedy


# PostgreSQL's user


def _with_programs(tmp_path: Path, **scripts: str) -> Checkout:
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return Checkout(tmp_path, {"PATH": f"{tmp_path}:{os.environ['PATH']}"})


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to become somebody else")
def test_root_without_an_unprivileged_account_is_refused(tmp_path):
    checkout = _with_programs(tmp_path, unshare="exit 1", setpriv="exit 1")
    with pytest.raises(DevError, match="refuses to run as root") as caught:
        account.choose(checkout)
    assert "ordinary user" in caught.value.problems[0].remedy


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to become somebody else")
def test_root_prefers_a_namespace_and_can_do_without(tmp_path):
    assert account.choose(_with_programs(tmp_path, unshare="exit 0")).uid == 0
    without = account.choose(_with_programs(tmp_path, unshare="exit 1", setpriv="exit 0"))
    assert without.prefix[0] == "setpriv"
    assert without.uid > 0


@pytest.mark.skipif(os.getuid() == 0, reason="root is no ordinary user")
def test_an_ordinary_user_runs_postgresql_directly(checkout):
    assert account.choose(checkout) == account.Account((), os.getuid(), os.getgid())


def test_a_user_id_without_an_account_is_named(checkout, monkeypatch):
    """As of a container that runs with any user id; initdb would fail later, without a remedy."""
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(DevError, match="user id 54321, which has no account") as caught:
        account.choose(checkout)
    assert "useradd --uid 54321" in caught.value.problems[0].remedy


# Logs


def _shown(*files: tuple[str, Path], tail: int | None = None) -> str:
    out = io.StringIO()
    logs.show(Terminal(out, out, {}), files, follow=False, tail=tail)
    return out.getvalue()


def test_each_line_names_its_service(tmp_path):
    (tmp_path / "a.log").write_text("one\ntwo\n")
    (tmp_path / "b.log").write_text("three\n")
    files = (("web", tmp_path / "a.log"), ("worker", tmp_path / "b.log"))
    assert _shown(*files) == "web    | one\nweb    | two\nworker | three\n"
    assert _shown(*files, tail=1) == "web    | two\nworker | three\n"
    assert _shown(("db", tmp_path / "none.log")) == ""


def test_a_log_is_read_as_it_grows_and_when_it_was_replaced(tmp_path):
    path = tmp_path / "web.log"
    path.write_text("one\nunfinish")
    log = logs.LogFile(path)
    assert log.read() == ["one"]
    with path.open("a") as file:
        file.write("ed\n")
    assert log.read() == ["unfinished"]
    path.rename(tmp_path / "web.log.1")
    path.write_text("new\n")
    assert log.read() == ["new"]


# Waiting, disk space, formatting


def test_waiting_ends_as_soon_as_the_condition_holds():
    event = threading.Event()
    threading.Timer(0.1, event.set).start()
    wait_until(event.is_set, 10, "it did not happen")
    with pytest.raises(DevError, match="it did not happen within 0 s"):
        wait_until(lambda: False, 0, "it did not happen")


def test_too_little_room_is_named_before_anything_is_made(checkout, monkeypatch):
    assert disk_space.of_checkout(checkout)[1] == []
    monkeypatch.setattr(disk_space, "FOR_SET_UP", 2**60)
    with pytest.raises(DevError, match=r"are free on the disk of") as refused:
        EmbeddedEngine(checkout, Terminal()).up(build=False, debug=False, timeout=1)
    assert "df -h" in refused.value.problems[0].remedy
    assert not any(checkout.root.iterdir())
    monkeypatch.setattr(disk_space.environment, "installed", lambda _: "all")
    assert disk_space.of_checkout(checkout)[1] == []  # an existing .venv needs no more space


# Orphans of a killed supervisor


def test_only_marked_processes_are_stopped():
    with (
        subprocess.Popen(["sleep", "60"], env={"MARK": "here", "NAME": "web"}) as ours,
        subprocess.Popen(["sleep", "60"], env={"MARK": "elsewhere", "NAME": "web"}) as theirs,
    ):
        wanted = {"MARK": "here", "NAME": "web"}
        assert processes.stop(wanted, signal.SIGTERM, 60)
        assert not processes.stop(wanted, signal.SIGTERM, 60)
        assert (ours.wait(5), theirs.poll()) == (-signal.SIGTERM, None)
        theirs.kill()


def test_the_supervisor_ends_when_its_checkout_is_deleted(checkout, places):
    places.make()
    places.make_sockets()
    supervisor = Supervisor(places, Path(sys.executable))
    supervisor.configure([])
    supervisor.launch(os.environ)
    try:
        assert supervisor.states() == {}

        def is_watched() -> bool:
            watch = supervisor.ask("getProcessInfo", WATCH)["pid"]
            return watch and psutil.Process(watch).cwd() == str(checkout.root.resolve())

        wait_until(is_watched, 60, "it is not watched")
        shutil.rmtree(checkout.root)
        wait_until(lambda: not supervisor.answers, 60, "it still runs")
    finally:
        if supervisor.answers:
            supervisor.shut_down()


def test_a_look_at_a_port_in_the_moment_of_a_start_does_not_fail_it(checkout, monkeypatch):
    runner = Runner(checkout, Terminal(), Places(checkout))
    answers = [DevError("the supervisor rejected startProcess: SPAWN_ERROR: web:web-0"), None]
    calls = []

    def start(name):
        calls.append(name)
        if problem := answers.pop(0):
            raise problem

    monkeypatch.setattr(runner.supervisor, "start", start)
    monkeypatch.setattr(runner, "_lost_port", lambda stack, name: None)  # free again
    runner._start(None, "web")
    assert calls == ["web", "web"]


def test_other_services_start_while_the_database_is_created(checkout, places, monkeypatch):
    done = []
    runner = Runner(checkout, Terminal(), places)
    places.make()
    monkeypatch.setattr(runner, "_as_they_should", lambda *_: set())
    monkeypatch.setattr(runner, "_start", lambda stack, name: done.append(f"start {name}"))
    monkeypatch.setattr(readiness, "follow", lambda *_, **__: None)

    def program(name, *needs, preparation=""):
        return Program(
            SimpleNamespace(name=name, needs=needs),
            script="",
            ready=lambda since: True,
            prepare=lambda: done.append(f"prepare {name}"),
            preparation=preparation,
        )

    programs = [program("db", preparation="creating"), program("aws"), program("migrate", "db")]
    runner.start(None, {one.service.name: one for one in programs}, 1)
    assert done == ["prepare aws", "start aws", "prepare migrate", "prepare db", "start db"]


def test_what_the_release_said_of_the_models_holds_for_the_same_code(checkout, monkeypatch):
    module = checkout.root / "backend" / "models.py"
    module.parent.mkdir()
    module.touch()
    engine = EmbeddedEngine(checkout, Terminal())
    asked = []
    monkeypatch.setattr(engine, "ask", lambda *question: asked.append(question))
    engine.migrated(engine.code)
    assert (engine.unmigrated(), asked) == (None, [])
    module.write_text("# edited")
    engine.unmigrated()
    assert len(asked) == 1
