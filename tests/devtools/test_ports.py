"""Ports: found free or taken on real sockets, remembered for the checkout."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from devtools import ports
from devtools.checkout import Checkout
from devtools.services import port_variable


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
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        server.bind((ports.LOOPBACK, 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection((ports.LOOPBACK, port)):
            accepted, _ = server.accept()
            accepted.close()  # closed by the server first: its port lingers in TIME_WAIT
    assert ports.is_free(port)


def test_the_next_free_port_is_free_and_not_spoken_for(listener):
    first = ports.next_free(listener - 1)
    assert first > listener
    assert ports.next_free(listener - 1, taken=[first]) > first
    assert ports.next_free(ports.LARGEST) == 0


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this system has no /proc/net/tcp")
def test_the_holder_of_a_port_is_named(listener):
    assert ports.holder(listener).endswith(f"(process {os.getpid()})")
    with socket.socket() as closed:
        closed.bind((ports.LOOPBACK, 0))
        assert ports.holder(closed.getsockname()[1]) == ""


def test_a_port_is_held_by_who_listens_and_by_its_ancestors(listener):
    assert ports.held_by(os.getpid(), listener)
    assert ports.held_by(os.getppid(), listener)
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as other:
        assert not ports.held_by(other.pid, listener)
        other.kill()


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "8000x", "८०००"])
def test_what_is_no_port(text):
    assert not ports.valid(text)


def test_remembered_ports_are_used_again(tmp_path):
    Checkout(tmp_path, {}).remember(ports.SUBJECT, {"WEB_PORT": "8001"})
    assert ports.remembered(Checkout(tmp_path, {})) == {"WEB_PORT": "8001"}


def test_a_chosen_port_wins_over_a_remembered_one(tmp_path):
    Checkout(tmp_path, {}).remember(ports.SUBJECT, {"WEB_PORT": "8001", "DB_PORT": "5433"})
    (tmp_path / ".env").write_text("DB_PORT=6000\n")
    assert ports.remembered(Checkout(tmp_path, {"WEB_PORT": "9000"})) == {}


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"WEB_PORT": "x"}', '{"WEB_PORT": null}'])
def test_a_damaged_memory_is_no_memory(tmp_path, content):
    (tmp_path / ".dev").mkdir()
    (tmp_path / ".dev" / "ports.json").write_text(content)
    assert ports.remembered(Checkout(tmp_path, {})) == {}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("127.0.0.1:${WEB_PORT:-8000}:8000", (8000, "WEB_PORT")),
        ("${DB_PORT}:5432/tcp", (5432, "DB_PORT")),
        ("127.0.0.1:$DB_PORT:5432", (5432, "DB_PORT")),
        ("127.0.0.1:6379:6379", (6379, "")),
        ({"target": 8000, "published": "${WEB_PORT:-8000}"}, (8000, "WEB_PORT")),
        ({"target": 8000}, (8000, "")),
    ],
)
def test_the_variable_that_moves_a_port_is_learned_from_the_declaration(entry, expected):
    assert port_variable(entry) == expected
