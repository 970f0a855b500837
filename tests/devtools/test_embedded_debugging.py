"""Breakpoints without Docker, with launch.json's configurations."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection

import launch
import pytest
from embedded_checkout import EmbeddedCheckout
from front_door import ROOT

from devtools import debuggers
from devtools.debug_client import Direct, Editor
from devtools.readiness import wait_until

pytestmark = pytest.mark.stack

VIEW = "backend/core/views.py"
NOWHERE = "/api/nowhere/"  # handled by that view
LIVE = "/api/v1/health/live/"
ANSWER = 'return problem(404, f"There is nothing at {request.path}.")'
TASK = "backend/core/celery/application.py"
RESULT = 'return {"message": message'
ENTRIES = {
    "gunicorn": "Gunicorn",
    "runserver": "runserver (reload)",
    "asgi": "Gunicorn (ASGI)",
}
SEND = (
    "import json; from core.celery import echo\n"
    "print(json.dumps(echo.delay('hello').get(timeout=120)['message']))"
)


@pytest.fixture
def stack(embedded):
    """The stack, with no debugger."""
    embedded.up()
    return embedded


def editors(stack: EmbeddedCheckout, name: str) -> list[Editor]:
    """Editors on this machine that start an entry of launch.json, after its task.

    The configurations use the default ports; the stack uses others.
    """
    commands, configurations = launch.entry(name)
    for command in commands:
        stack.must(*shlex.split(command)[1:])
    moved = {port: int(stack.variables[variable]) for variable, port in debuggers.PORTS.values()}
    return [
        Editor(one, str(stack.root), lambda host, port: Direct(host, moved[port]))
        for one in configurations
    ]


def editor(stack: EmbeddedCheckout, name: str) -> Editor:
    """The editor of an entry that attaches once."""
    [found] = editors(stack, name)
    return found


def line_of(path: str, text: str) -> int:
    lines = (ROOT / path).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def get(stack: EmbeddedCheckout, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", stack.port("web"), timeout=180)
    with closing(connection):
        connection.request("GET", path, headers={"Host": "test1.localhost"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def status_of(stack: EmbeddedCheckout, path: str) -> int:
    return get(stack, path)[0]


def answer_of(stack: EmbeddedCheckout, path: str) -> str:
    return get(stack, path)[1]


@contextmanager
def asking(stack: EmbeddedCheckout) -> Iterator[Callable[[int], None]]:
    """Request a page repeatedly from four threads; raise if any request fails.

    The returned function waits until a request that began after its call has this status.
    """
    done = threading.Event()
    asked: list[int] = []

    def ask() -> None:
        while not done.is_set():
            asked.append(status_of(stack, LIVE))

    def answered(status: int) -> None:
        known = len(asked) + 4
        wait_until(lambda: len(asked) > known or failed(), 120, "no answer")
        assert failed() or set(asked) == {status}

    def failed() -> bool:
        return any(one.done() for one in asking)

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            yield answered
        finally:
            done.set()
        for one in asking:
            one.result()


def edit(stack: EmbeddedCheckout, old: str, new: str) -> None:
    file = stack.root / VIEW
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize("server", ENTRIES)
def test_a_breakpoint_is_hit_in_web(stack, server):
    with editor(stack, ENTRIES[server]) as attached, ThreadPoolExecutor() as pool:
        attached.followed(1 if server == "runserver" else 2)
        attached.break_at(VIEW, line_of(VIEW, ANSWER))
        answer = pool.submit(status_of, stack, NOWHERE)
        stop = attached.stopped()
        assert (stop.path, stop.line) == (str(stack.root / VIEW), line_of(VIEW, ANSWER))
        assert re.fullmatch(r"'.*nowhere/'", stop.evaluate("request.path"))
        # The other threads and processes still answer.
        for _ in range(8):
            assert status_of(stack, LIVE) == 200
        # One Stop detaches from all processes, and the paused request continues.
        attached.disconnect(stop.session)
        assert answer.result(120) == 404
    assert status_of(stack, NOWHERE) == 404


def test_no_request_is_refused_while_the_server_changes_and_reloads(stack):
    with asking(stack) as answered:
        for server in ("asgi", "runserver", "gunicorn"):
            assert stack.dev("serve", server, "--debug").returncode == 0
            answered(200)
            edit(stack, "There is nothing at", "Edited")
            answered(200)
            edit(stack, "Edited", "There is nothing at")
        assert stack.dev("serve", "gunicorn").returncode == 0
        answered(200)


@pytest.mark.parametrize("server", ENTRIES)
def test_an_edit_shows_while_a_request_is_paused_and_that_one_goes_on(stack, server):
    with editor(stack, ENTRIES[server]) as attached, ThreadPoolExecutor() as pool:
        attached.followed(1 if server == "runserver" else 2)
        attached.break_at(VIEW, line_of(VIEW, ANSWER))
        paused = pool.submit(answer_of, stack, NOWHERE)
        stop = attached.stopped()
        attached.break_at(VIEW)
        edit(stack, "There is nothing at", "Edited")
        try:
            wait_until(lambda: "Edited" in answer_of(stack, NOWHERE), 120, "the edit did not show")
            assert re.fullmatch(r"'.*nowhere/'", stop.evaluate("request.path"))
            stop.resume()
            assert "There is nothing at" in paused.result(120)
        finally:
            edit(stack, "Edited", "There is nothing at")


def test_one_entry_starts_both_debuggers_and_attaches_to_them(stack):
    with ExitStack() as attached, ThreadPoolExecutor() as pool:
        web, worker = map(attached.enter_context, editors(stack, "Web and worker"))
        shown = json.loads(stack.dev("status", "--json").stdout)["debuggers"]
        assert {name: one["address"] for name, one in shown.items()} == {
            name: f"127.0.0.1:{stack.variables[f'{name.upper()}_DEBUG_PORT']}"
            for name in ("web", "worker")
        }
        web.followed(2)
        web.break_at(VIEW, line_of(VIEW, ANSWER))
        answer = pool.submit(status_of, stack, NOWHERE)
        web.stopped().resume()
        assert answer.result(120) == 404
        worker.followed(1)
        worker.break_at(TASK, line_of(TASK, RESULT))
        sent = pool.submit(stack.dev, "manage", "shell", "--tenant", "test1", "-c", SEND)
        stop = worker.stopped()
        assert (stop.path, stop.evaluate("message")) == (str(stack.root / TASK), "'hello'")
        # Stop ends the compound only if it reaches the session of a member.
        assert stop.session.root is worker.sessions[0]
        stop.resume()
        assert json.loads(sent.result(120).stdout.splitlines()[-1]) == "hello"


def test_attaching_to_the_worker_keeps_a_server_that_is_debugged(stack):
    with editor(stack, "runserver (reload)") as attached:
        attached.followed(1)
        server = stack.pids()["web"]
        with editor(stack, "Attach to worker") as worker:
            worker.followed(1)
        assert stack.pids()["web"] == server
