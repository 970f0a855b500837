"""Ports: detected as free or taken on real sockets, and remembered for the checkout."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from front_door import ROOT

from devtools import chosen_ports, ports, processes
from devtools.checkout import Checkout
from devtools.chosen_ports import COMPOSE, EMBEDDED
from devtools.declared.compose import port_variable
from devtools.declared.local_stack import Port
from devtools.docker import published_ports
from devtools.docker.project import Project, PublishedPort
from devtools.embedded import port_choice
from devtools.engines.compose import ComposeEngine
from devtools.errors import DevError, PortLost
from devtools.process import Result
from devtools.terminal import Terminal


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind((ports.LOOPBACK, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_with_a_listener_is_taken(listener):
    assert not ports.is_free(listener)


def test_a_port_with_a_listener_on_all_interfaces_is_taken():
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


def test_a_port_is_free_again_after_its_connections_ended():
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # like most servers
        server.bind((ports.LOOPBACK, 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection((ports.LOOPBACK, port)):
            accepted, _ = server.accept()
            accepted.close()  # the server closes first, so its port stays in TIME_WAIT
    assert ports.is_free(port)


def test_the_next_free_port_is_free_and_not_reserved(listener):
    first = ports.next_free(listener - 1)
    assert first > listener
    assert ports.next_free(listener - 1, taken=[first]) > first
    assert 0 < ports.next_free(ports.LARGEST) < ports.LARGEST
    with pytest.raises(DevError, match="no port of this machine is free"):
        ports.next_free(listener, free=lambda port, host: False)


def test_a_port_that_one_start_holds_is_not_chosen_by_another(tmp_path, listener):
    first, second = (ports.Claims(tmp_path / "ports") for _ in range(2))
    with second:
        with first:
            port = ports.next_free(listener, free=first.take)
            assert first.take(port)
            assert not second.take(port)
            assert ports.holder(port) == "a stack that is starting"
            assert ports.next_free(port - 1, free=second.take) > port
            assert not first.take(listener)
            assert first.hold(listener)  # for a service that will restart
        assert second.take(port)


def test_what_a_start_holds_ends_with_its_process(tmp_path, listener):
    port = ports.next_free(listener)
    code = (
        "import sys, pathlib; from devtools import ports\n"
        "claims = ports.Claims(pathlib.Path(sys.argv[1]))\n"
        "print(claims.take(int(sys.argv[2])), flush=True); sys.stdin.read()\n"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(port)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other,
        ports.Claims(tmp_path) as claims,
    ):
        assert other.stdout.readline() == "True\n"
        assert not claims.take(port)
        other.kill()
        other.wait()
        assert claims.take(port)


def test_two_checkouts_that_start_at_once_get_different_ports(tmp_path, listener):
    declared = [
        Port(variable=f"{name.upper()}_PORT", service=name, host=name, target=1, default=listener)
        for name in ("web", "db")
    ]

    def settle(checkout: Checkout, claims: ports.Claims) -> dict[str, int]:
        return port_choice.settle(checkout, Terminal(), claims, declared, {})

    with ports.Claims(tmp_path / "ports") as first, ports.Claims(tmp_path / "ports") as second:
        checkouts = [Checkout(tmp_path / name, {}) for name in "ab"]
        for checkout in checkouts:
            checkout.root.mkdir()
        given = [settle(checkouts[0], first), settle(checkouts[1], second)]
        chosen = Checkout(tmp_path / "b", {"WEB_PORT": str(given[0]["web"])})
        with pytest.raises(DevError, match=r"for web .* is taken by a stack that is starting"):
            settle(chosen, second)
    assert len({port for ports_of_one in given for port in ports_of_one.values()}) == 4


def test_without_a_lock_directory_only_listeners_count(tmp_path, listener):
    (tmp_path / "file").touch()
    with ports.Claims(tmp_path / "file") as claims:
        assert not claims.take(listener)
        assert claims.take(ports.next_free(listener))


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this system has no /proc/net/tcp")
def test_the_holder_of_a_port_is_named(listener):
    assert ports.holder(listener).endswith(f"(process {os.getpid()})")
    with socket.socket() as closed:
        closed.bind((ports.LOOPBACK, 0))
        assert ports.holder(closed.getsockname()[1]) == "another program"


def test_a_port_is_held_by_its_listener_and_its_ancestors(listener):
    assert ports.held_by(os.getpid(), listener)
    assert ports.held_by(os.getppid(), listener)
    assert not ports.held_by(0, listener)  # of a service that does not run
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as other:
        assert not ports.held_by(other.pid, listener)
        other.kill()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this system has no /proc/net/tcp")
def test_who_holds_a_port_is_asked_of_few_processes_and_of_none_if_it_is_free(
    listener, monkeypatch
):
    """A start asks repeatedly, on machines with many processes and connections."""
    asked = []
    has = processes._has
    monkeypatch.setattr(processes, "_has", lambda *one: asked.append(one[0]) or has(*one))
    assert ports.held_by(os.getpid(), listener)
    assert asked == [os.getpid()]
    monkeypatch.setattr(processes, "table", lambda: pytest.fail("it reads the connections"))
    with socket.socket() as silent:
        silent.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # may be shared until it listens
        silent.bind((ports.LOOPBACK, 0))
        assert not ports.held_by(os.getpid(), silent.getsockname()[1])


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "8000x", "८०००"])
def test_invalid_ports(text):
    assert not ports.valid(text)


def test_each_engine_remembers_its_own_ports(tmp_path):
    checkout = Checkout(tmp_path, {})
    chosen_ports.remember(checkout, EMBEDDED, {"DB_PORT": 5433})
    assert chosen_ports.remembered(checkout, EMBEDDED) == {"DB_PORT": "5433"}
    assert "DB_PORT" not in Project(checkout).environment
    chosen_ports.remember(checkout, COMPOSE, {"DB_PORT": 5434})
    assert Project(checkout).environment["DB_PORT"] == "5434"
    assert port_choice.wanted(checkout, Port("db", "db", 5432, "DB_PORT", 5432)) == 5433


def test_a_port_of_the_embedded_stack_of_the_same_checkout_is_explained(
    tmp_path, listener, monkeypatch
):
    published = PublishedPort("db", ports.LOOPBACK, listener, 5432)
    monkeypatch.setattr(Project, "published", lambda *_: [published])
    monkeypatch.setattr(Project, "all_containers", lambda _: [])
    monkeypatch.setattr(Project, "port_variables", {("db", 5432): "DB_PORT"})
    monkeypatch.setattr(Project, "docker", lambda *_: Result(0, "", ""))
    checkout = Checkout(tmp_path, {})
    checkout.remember(chosen_ports.EMBEDDED_NOW, {"db": listener})
    [problem], _ = published_ports.problems(Project(checkout))
    assert "--engine embedded" not in problem.remedy  # its supervisor is gone
    with subprocess.Popen(
        ["sleep", "30"], env={**os.environ, "DEV_CHECKOUT": str(tmp_path)}
    ) as one:
        [problem], _ = published_ports.problems(Project(checkout))
        one.kill()
    assert problem.what.endswith("is taken by this checkout's stack without Docker")
    assert problem.remedy.endswith("or stop that stack: ./dev --engine embedded down")


@pytest.mark.parametrize(
    ("state", "own"), [("running", True), ("restarting", True), ("exited", False)]
)
def test_a_crashing_container_keeps_its_port(tmp_path, listener, monkeypatch, state, own):
    """It may be between two of its starts when it is asked for its port."""
    published = {"5432/tcp": [{"HostIp": ports.LOOPBACK, "HostPort": str(listener)}]}
    facts = {
        "Id": "1",
        "Image": "1",
        "Config": {"Labels": {"com.docker.compose.service": "db"}},
        "HostConfig": {"PortBindings": {**published, "80/tcp": [{"HostIp": "", "HostPort": ""}]}},
        "NetworkSettings": {"Ports": published if state == "running" else {}},
        "State": {"Status": state, "ExitCode": 1, "StartedAt": ""},
    }
    declared = PublishedPort("db", ports.LOOPBACK, listener, 5432)
    monkeypatch.setattr(Project, "published", lambda *_: [declared])
    monkeypatch.setattr(Project, "port_variables", {("db", 5432): "DB_PORT"})
    answers = {"ps": "1", "inspect": json.dumps([facts])}
    monkeypatch.setattr(Project, "docker", lambda _, asked, *__: Result(0, answers[asked], ""))
    monkeypatch.setattr(Project, "name", "one")
    assert bool(published_ports.taken(Project(Checkout(tmp_path, {})))) is not own


def test_a_chosen_port_wins_over_a_remembered_one(tmp_path):
    Checkout(tmp_path, {}).remember(COMPOSE, {"WEB_PORT": "8001", "DB_PORT": "5433"})
    (tmp_path / ".env").write_text("DB_PORT=6000\n")
    assert chosen_ports.remembered(Checkout(tmp_path, {"WEB_PORT": "9000"}), COMPOSE) == {}


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"WEB_PORT": "x"}', '{"WEB_PORT": null}'])
def test_damaged_remembered_ports_are_ignored(tmp_path, content):
    (tmp_path / ".dev").mkdir()
    (tmp_path / ".dev" / "ports.json").write_text(content)
    assert chosen_ports.remembered(Checkout(tmp_path, {}), COMPOSE) == {}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("127.0.0.1:${WEB_PORT:-8000}:8000", (8000, "WEB_PORT")),
        ("${DB_PORT}:5432/tcp", (5432, "DB_PORT")),
        ("127.0.0.1:$DB_PORT:5432", (5432, "DB_PORT")),
        ("127.0.0.1:6379:6379", (6379, "")),
        ("${ADDRESS:-127.0.0.1}:${DB_PORT:-5432}:5432", (5432, "DB_PORT")),
        ("${ADDRESS:-127.0.0.1}:8080:80/tcp", (80, "")),
        ({"target": 8000, "published": "${WEB_PORT:-8000}"}, (8000, "WEB_PORT")),
        ({"target": 8000}, (8000, "")),
    ],
)
def test_the_variable_that_moves_a_port_is_learned_from_the_declaration(entry, expected):
    assert port_variable(entry) == expected


def test_a_command_that_loses_a_port_to_another_program_starts_again(tmp_path, monkeypatch, capsys):
    """Not only `up` starts the database and Redis."""
    engine = ComposeEngine(Checkout(tmp_path, {}), Terminal())
    outcomes = [PortLost("port 5434 for db is taken"), None]

    def start(**_):
        if outcome := outcomes.pop(0):
            raise outcome

    monkeypatch.setattr(engine, "_check", lambda: None)
    monkeypatch.setattr(engine, "_start_data_services", start)
    monkeypatch.setattr(engine, "_hand_over", lambda *_: 7)
    project = SimpleNamespace(name="any", docker=lambda *_: None)
    monkeypatch.setattr(engine, "project", project)
    assert engine.manage(["check"]) == 7
    assert not outcomes
    assert "starting again with another port" in capsys.readouterr().err
