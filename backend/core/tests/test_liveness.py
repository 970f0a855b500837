"""The containers' health checks."""

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from core import liveness
from core.env import environment


@pytest.fixture
def heartbeat(tmp_path, monkeypatch):
    file = tmp_path / "heartbeat"
    monkeypatch.setattr(liveness, "heartbeat_file", lambda: file)
    return file


def test_a_worker_with_a_fresh_heartbeat_is_healthy(heartbeat, capsys):
    liveness.beat()
    assert liveness.main(["worker"]) == 0


def test_a_worker_without_a_heartbeat_is_unhealthy(heartbeat, capsys):
    assert liveness.main(["worker"]) == 1
    assert "unhealthy" in capsys.readouterr().err


def test_a_worker_that_fell_silent_is_unhealthy(heartbeat, capsys):
    past = time.monotonic() - liveness.HEARTBEAT_TIME_TO_LIVE - 5
    heartbeat.write_text(str(past))
    assert liveness.main(["worker"]) == 1
    assert "25 s old" in capsys.readouterr().err


def test_a_heartbeat_of_before_the_machines_last_start_says_nothing(heartbeat, capsys):
    heartbeat.write_text(str(time.monotonic() + 3600))
    assert liveness.main(["worker"]) == 1


def test_a_clock_that_is_set_does_not_change_the_age(heartbeat, monkeypatch, capsys):
    liveness.beat()
    monkeypatch.setattr(time, "time", lambda: 0)
    assert liveness.main(["worker"]) == 0


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (500, 1)])
def test_web_is_healthy_when_it_answers_200(status, expected, monkeypatch, capsys):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    values = {**environment(), "WEB_BIND": f"0.0.0.0:{server.server_port}"}
    monkeypatch.setattr(liveness, "own", lambda name: values)
    try:
        assert liveness.main(["web"]) == expected
    finally:
        server.shutdown()
        server.server_close()


def test_web_that_does_not_listen_is_unhealthy(monkeypatch, capsys):
    values = {**environment(), "WEB_BIND": "127.0.0.1:1"}
    monkeypatch.setattr(liveness, "own", lambda name: values)
    assert liveness.main(["web"]) == 1


def test_an_unknown_check_is_a_usage_error(capsys):
    assert liveness.main(["db"]) == 2
    assert "usage" in capsys.readouterr().err


def test_a_check_loads_no_more_than_it_needs():
    code = "import sys, core.liveness; print({'asyncio', 'django.conf'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
