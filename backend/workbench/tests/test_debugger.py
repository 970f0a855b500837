"""A debugger's state is read from the kernel, and what cannot be known is said."""

import socket

import pytest

from workbench import debugger, worker
from workbench.activity_log import key
from workbench.debugger import own, state_of


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_port_nobody_listens_on_is_closed():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # keeps the port from all others
        assert state_of(closed.getsockname()[1]) == "closed"


def test_a_debugger_waits_until_an_editor_connects(listening):
    port = listening.getsockname()[1]
    assert state_of(port) == "waiting"
    with socket.create_connection(("127.0.0.1", port)):
        assert state_of(port) == "attached"


def test_without_the_kernels_table_it_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(debugger, "TABLES", (tmp_path / "tcp", tmp_path / "tcp6"))
    assert state_of(5678) == "unknown"


def test_a_process_without_a_debugger_says_so(monkeypatch):
    monkeypatch.setattr(debugger, "environment", dict)
    assert own().state == "off"


def test_a_process_looks_at_the_port_of_its_own_debugger(monkeypatch, listening):
    port = listening.getsockname()[1]
    monkeypatch.setattr(debugger, "environment", lambda: {"DEBUGPY_PORT": str(port)})
    assert own().as_dict() == {"port": port, "state": "waiting"}


def test_the_worker_reports_its_debugger_with_its_heartbeat(redis_client):
    worker.Report()(sender=None)
    (said,) = worker.workers(redis_client)

    assert said["host"] == socket.gethostname()
    assert said["debugger"]["state"] in debugger.SAID
    assert 0 < redis_client.ttl(key(f"worker:{said['host']}")) <= 20
