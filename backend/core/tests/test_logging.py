"""Every process writes the same lines."""

import json
import logging
import logging.config
import os
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest
import structlog
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from rest_framework.settings import api_settings

from core.logging import BatchHandler, logging_config, start_batches
from core.request_log import RequestLogMiddleware
from core.tests.waiting import wait_until


@pytest.fixture
def written(capsys):
    """Configure the log like a process; return a function that reads what was written."""
    structlog.contextvars.clear_contextvars()
    handlers = logging.root.handlers[:]

    def configure(log_format):
        logging.config.dictConfig(logging_config(log_format, "INFO"))

    def lines():
        return capsys.readouterr().out.splitlines()

    lines.configure = configure
    yield lines
    structlog.contextvars.clear_contextvars()
    logging.root.handlers[:] = handlers


def test_a_json_line_carries_message_and_context(written):
    written.configure("json")
    structlog.contextvars.bind_contextvars(request_id="r1", tenant="test1")
    structlog.get_logger("shop").info("sold", items=3)

    (line,) = written()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "level": "info",
        "event": "sold",
        "logger": "shop",
        "items": 3,
        "request_id": "r1",
        "tenant": "test1",
    }


def test_a_line_of_a_library_has_the_same_shape(written):
    written.configure("json")
    structlog.contextvars.bind_contextvars(task_id="t1")
    logging.getLogger("some.library").warning("%s is late by %d s", "it", 5)

    entry = json.loads(written()[0])
    assert entry["event"] == "it is late by 5 s"
    assert entry["level"] == "warning"
    assert entry["task_id"] == "t1"


def test_an_exception_is_one_line(written):
    written.configure("json")
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("shop").exception("failed")

    (line,) = written()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_a_successful_liveness_probe_is_not_written_and_a_failed_one_is(browser, written):
    written.configure("json")
    assert browser.get("/api/v1/health/live/?of=balancer").status_code == 200
    logging.getLogger("django.server").info('"GET /api/v1/health/live/ HTTP/1.1" 200')
    assert written() == []
    assert browser.post("/api/v1/health/live/").status_code == 405
    assert len(written()) == 1


def test_console_lines_are_for_reading(written):
    written.configure("console")
    structlog.get_logger("shop").info("sold", items=3)

    (line,) = written()
    assert "sold" in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)


@pytest.mark.django_db
def test_a_request_is_one_line_with_all_that_is_known_of_it(browser, written):
    written.configure("json")
    response = browser.get("/?page=2", headers={"x-tenant": "test2"}, REMOTE_ADDR="10.1.2.3")

    (line,) = written()
    entry = json.loads(line)
    assert entry.pop("duration_ms") >= 0
    assert entry.pop("timestamp")
    assert entry == {
        "level": "info",
        "event": "request_finished",
        "tenant": "test2",
        "logger": "core.request_log",
        "request": "GET /?page=2",
        "code": 200,
        "bytes": len(response.content),
        "request_id": response["X-Request-ID"],
        "ip": "10.1.2.3",
        "user_id": None,
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "host", "code", "level"),
    [
        ("/static/nosuch.css", "localhost", 404, "warning"),
        ("/", "evil.example", 400, "warning"),
        ("/admin/", "localhost", 302, "info"),
    ],
)
def test_what_middleware_answers_is_logged_too(browser, written, path, host, code, level):
    written.configure("json")
    response = browser.get(path, headers={"host": host})

    entry = json.loads(written()[-1])
    assert (entry["event"], entry["code"], entry["level"]) == ("request_finished", code, level)
    assert entry["request_id"] == response["X-Request-ID"]


@pytest.mark.django_db
def test_a_line_names_the_user_that_the_request_was_found_to_be_of(as_ann, ann, written):
    written.configure("json")
    as_ann.get("/api/v1/health/live/")
    as_ann.get("/api/v1/notes/")
    assert json.loads(written()[-1])["user_id"] == ann.pk


def test_a_failure_is_one_line_with_its_traceback(written):
    def broken(request):
        raise RuntimeError("a mistake")

    written.configure("json")
    handle = RequestLogMiddleware(convert_exception_to_response(broken))
    response = handle(RequestFactory().get("/x/"))

    (line,) = written()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["code"]) == ("request_failed", "error", 500)
    assert "RuntimeError: a mistake" in entry["exception"]
    assert entry["request_id"] == response["X-Request-ID"]
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize(("proxies", "client"), [(0, "10.0.0.1"), (1, "203.0.113.9")])
def test_a_line_has_the_address_that_the_proxy_saw(written, monkeypatch, proxies, client):
    """What the client writes itself stands before it."""
    written.configure("json")
    monkeypatch.setattr(api_settings, "NUM_PROXIES", proxies)
    said = {"x-forwarded-for": "198.51.100.1, 203.0.113.9"}
    request = RequestFactory().get("/", headers=said, REMOTE_ADDR="10.0.0.1")
    RequestLogMiddleware(lambda request: HttpResponse())(request)
    assert json.loads(written()[0])["ip"] == client


def test_lines_of_a_streamed_response_have_the_context_of_its_request(written):
    def read():
        structlog.get_logger("shop").info("reading")
        yield b"x"

    written.configure("json")
    handle = RequestLogMiddleware(lambda request: StreamingHttpResponse(read()))
    response = handle(RequestFactory().get("/"))
    list(response)

    ids = {json.loads(line)["event"]: json.loads(line).get("request_id") for line in written()}
    assert ids == dict.fromkeys(
        ["request_finished", "reading", "streaming_finished"], response["X-Request-ID"]
    )


class Writes:
    """A stream that keeps each write by itself."""

    def __init__(self):
        self.all = []

    def write(self, text):
        self.all.append(text)

    def flush(self):
        pass


@pytest.fixture
def batches():
    """The writes of a handler that collects lines."""
    writes = Writes()
    handler = BatchHandler(writes)
    handlers = logging.root.handlers[:]
    logging.root.handlers[:] = [handler]
    level = logging.root.level
    logging.root.setLevel("INFO")
    start_batches()
    yield writes.all
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


@contextmanager
def soon():
    """Hold back what is written by the thread that waits, however slow this one is."""
    [handler] = [one for one in logging.root.handlers if isinstance(one, BatchHandler)]
    with handler.lock:
        yield


def test_lines_are_written_together_soon(batches):
    with soon():
        for number in range(3):
            logging.info("line %d", number)
        assert batches == []
    wait_until(lambda: batches)
    assert batches == ["line 0\nline 1\nline 2\n"]


def test_a_warning_is_written_at_once_after_what_came_before(batches):
    with soon():
        logging.info("first")
        logging.warning("second")
        assert batches == ["first\nsecond\n"]


def test_a_batch_fits_what_a_pipe_takes_in_one_piece(batches):
    lines = [f"{number:04} " + "ü" * 500 for number in range(40)]
    with soon():
        for line in lines:
            logging.info(line)
        logging.warning("x" * 2 * select.PIPE_BUF)  # one line is never cut
    assert "".join(batches).splitlines()[:-1] == lines
    assert all(len(batch.encode()) <= select.PIPE_BUF for batch in batches[:-1])
    assert len(batches) < len(lines) / 2


def test_lines_that_wait_are_written_at_exit():
    program = (
        "import logging, logging.config\n"
        "from core.logging import logging_config, start_batches\n"
        "logging.config.dictConfig(logging_config('json', 'INFO'))\n"
        "start_batches()\n"
        "logging.info('the last words')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout)["event"] == "the last words"
