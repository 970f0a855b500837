"""Every process writes the same lines."""

import json
import logging
import logging.config
import os
import select
import subprocess
import sys
import time

import pytest
import structlog

from core.logging import BATCH_WAIT, BatchHandler, logging_config, start_batches


class Atoms(dict):
    """Gunicorn's access atoms: what is missing reads as '-'."""

    def __missing__(self, key):
        return "-"


@pytest.fixture
def written(capsys):
    """Configure the log as a process does; return a function that reads what was written."""
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


def test_gunicorns_access_line_has_fields(written):
    written.configure("json")
    atoms = {"m": "GET", "U": "/x/", "s": "200", "B": 12, "D": 2500, "{x-request-id}o": "r1"}
    logging.getLogger("gunicorn.access").info("%(m)s %(U)s %(s)s", Atoms(atoms))

    entry = json.loads(written()[0])
    assert entry["event"] == "GET /x/ 200"
    assert entry["code"] == 200
    assert entry["duration_ms"] == 2.5
    assert entry["request_id"] == "r1"


def test_a_successful_liveness_probe_is_not_written_and_a_failed_one_is(written):
    written.configure("json")
    access = logging.getLogger("gunicorn.access")
    atoms = {"m": "GET", "U": "/api/v1/health/live/", "s": "200", "B": 1, "D": 1}
    access.info("%(m)s %(U)s %(s)s", Atoms(atoms))
    assert written() == []
    structlog.get_logger("x").warning("request_finished", request="GET /api/v1/health/live/")
    assert len(written()) == 1


def test_console_lines_are_for_reading(written):
    written.configure("console")
    structlog.get_logger("shop").info("sold", items=3)

    (line,) = written()
    assert "sold" in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)


@pytest.mark.django_db
def test_a_request_logs_its_tenant_and_the_id_it_answers_with(browser, written):
    written.configure("json")
    response = browser.get("/", headers={"x-tenant": "test2"})

    entries = [json.loads(line) for line in written()]
    finished = next(entry for entry in entries if entry["event"] == "request_finished")
    assert finished["tenant"] == "test2"
    assert finished["request_id"] == response["X-Request-ID"]


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


def test_lines_are_written_together_soon(batches):
    for number in range(3):
        logging.info("line %d", number)
    assert batches == []
    ends = time.monotonic() + 100 * BATCH_WAIT
    while not batches and time.monotonic() < ends:
        time.sleep(BATCH_WAIT / 10)
    assert batches == ["line 0\nline 1\nline 2\n"]


def test_a_warning_is_written_at_once_after_what_came_before(batches):
    logging.info("first")
    logging.warning("second")
    assert batches == ["first\nsecond\n"]


def test_a_batch_fits_what_a_pipe_takes_in_one_piece(batches):
    lines = [f"{number:04} " + "ü" * 500 for number in range(40)]
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
