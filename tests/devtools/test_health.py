"""The health report is read with any status, and with a time limit."""

from __future__ import annotations

import json
import re
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
    ("name", "reason"),
    [
        ("database", 'FATAL:  password authentication failed for user "app"'),
        ("cache", "AuthenticationError: invalid username-password pair"),
        ("broker", "AuthenticationError: Authentication required."),
        ("migrations", "migrations are pending in public; run: ./dev migrate"),
        ("unknown_migrations", "the database has migrations that; run: ./dev doctor migrations"),
    ],
)
def test_up_does_not_wait_for_what_does_not_change(name, reason, monkeypatch):
    monkeypatch.setattr(stack.time, "sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(DevError, match=re.escape(f"{name}: {reason}")):
        stack._settled(_run(name, reason))


def test_up_restarts_what_is_older_than_the_migrations():
    older = _run("code", "this process is older than a.0002; run: ./dev restart web worker")
    well = StackStatus("embedded", "p", [], Health("ok", "gunicorn", {}))

    def restart(services, *, timeout):
        assert set(services) == {"web", "worker"}
        older.engine.status = lambda: well

    older.engine.restart = restart
    assert stack._settled(older) is well


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("worker", "no worker has been heard from; see its log: ./dev logs worker"),
        ("unknown_migrations", "OperationalError: connection refused"),
        ("migrations", "no answer within 1.5 s"),
    ],
)
def test_up_waits_for_what_may_change(name, reason, monkeypatch):
    def wait(_):
        raise InterruptedError

    monkeypatch.setattr(stack.time, "sleep", wait)
    with pytest.raises(InterruptedError):
        stack._settled(_run(name, reason))


def test_the_addresses_of_many_tenants_are_not_all_printed(capsys):
    tenants = {f"t{number:03}": f"http://t{number:03}.localhost/" for number in range(500)}
    found = StackStatus("compose", "p", [], None, tenants=tenants)
    stack._print_addresses(Terminal(), found)
    *listed, more = capsys.readouterr().out.split("\n")[1:-1]
    assert [line.split()[1] for line in listed] == [f"t{number:03}" for number in range(10)]
    assert more == "  and 490 tenants more: ./dev manage list_tenants"
    assert len(found.as_json()["tenants"]) == 500


def _run(name: str, reason: str) -> SimpleNamespace:
    """A command whose stack has one failing entry of health."""
    found = Health("fail", "gunicorn", {name: {"status": "fail", "error": reason}})
    return SimpleNamespace(
        engine=SimpleNamespace(status=lambda: StackStatus("compose", "p", [], found)),
        terminal=Terminal(),
        options=SimpleNamespace(timeout=600),
    )


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
