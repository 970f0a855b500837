"""The health report is read with any status, and with a time limit."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest
from front_door import serving

from devtools import health
from devtools.commands import stack
from devtools.errors import DevError
from devtools.health import Health
from devtools.status import StackStatus
from devtools.terminal import Terminal

WELL = {"status": "ok", "server": "gunicorn", "checks": {"cache": {"status": "ok"}}}
ILL = {
    "status": "fail",
    "server": "gunicorn",
    "checks": {"cache": {"status": "fail", "error": "x"}},
}


@pytest.fixture
def answer():
    """Start a server with a fixed response; return its port."""

    def start(status: int, body: str) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status if self.path == health.PATH else 404)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        return servers.enter_context(serving(Handler)).server_port

    with ExitStack() as servers:
        yield start


def test_everything_is_healthy(answer):
    found = health.ask(answer(200, json.dumps(WELL)))
    assert found == Health(**WELL)
    assert found.ok
    assert found.failing == {}


def test_failures_have_a_reason(answer):
    found = health.ask(answer(503, json.dumps(ILL)))
    assert not found.ok
    assert found.failing == {"cache": "x"}


def test_entries_with_one_reason_are_one_problem_with_one_remedy():
    refused = {"status": "fail", "error": "password authentication failed"}
    checks = {**dict.fromkeys(("database", "migrations", "unknown_migrations"), refused)}
    [problem] = Health("fail", "gunicorn", {**checks, "files": {"status": "ok"}}).problems
    assert (
        problem.what == "database, migrations, unknown_migrations: password authentication failed"
    )
    assert problem.remedy == "./dev restart db"


def test_what_names_its_remedy_gets_no_other():
    pending = {"status": "fail", "error": "pending in public; run: ./dev migrate"}
    [problem] = Health("fail", "gunicorn", {"migrations": pending}).problems
    assert problem.remedy == ""


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        ('FATAL:  password authentication failed for user "app"', "./dev restart db"),
        ("AuthenticationError: invalid username-password pair", "./dev restart redis"),
        ("AuthenticationError: Authentication required.", "./dev restart redis"),
    ],
)
def test_up_does_not_wait_for_a_refused_password(reason, command, monkeypatch):
    monkeypatch.setattr(stack.time, "sleep", lambda _: pytest.fail("it waits"))
    name = "database" if "db" in command else "cache"
    found = Health("fail", "gunicorn", {name: {"status": "fail", "error": reason}})
    run = SimpleNamespace(
        engine=SimpleNamespace(status=lambda: StackStatus("compose", "p", [], found)),
        terminal=Terminal(),
        options=SimpleNamespace(timeout=600),
    )
    with pytest.raises(DevError) as raised:
        stack._settled(run)
    assert [problem.remedy for problem in raised.value.problems] == [command]


@pytest.mark.parametrize("body", ["", "<html>", "[]", "{}", "null"])
def test_another_program_on_the_port_counts_as_no_answer(answer, body):
    assert health.ask(answer(200, body)) is None


def test_a_proxy_in_the_environment_is_not_asked(answer, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert health.ask(answer(200, json.dumps(WELL))).ok


def test_a_closed_port_counts_as_no_answer():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert health.ask(closed.getsockname()[1]) is None


def test_a_server_that_hangs_counts_as_no_answer():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert health.ask(silent.getsockname()[1], timeout=0.1) is None
