"""The debugger of `./dev mcp`: breakpoints in web and in the worker of a running stack."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from front_door import ROOT
from protocol_client import Client, talk

pytestmark = pytest.mark.stack

VIEW = "backend/core/views.py"
ANSWER = 'return problem(404, f"There is nothing at {request.path}.")'
TASK = "backend/core/celery/application.py"
RESULT = 'return {"message": message'
SCHEDULER = "backend/core/celery/beat.py"
TICK = "entries = list(self.schedule.values())"
SEND = "from core.celery import echo; echo.delay('hello')"


@pytest.fixture
def stack(embedded):
    embedded.up()
    return embedded


def place(path: str, text: str) -> str:
    lines = (ROOT / Path(path)).read_text().splitlines()
    return f"{path}:{next(number for number, line in enumerate(lines, 1) if text in line)}"


def test_a_request_and_a_task_are_paused_looked_into_and_go_on(stack):
    async def conversation(client: Client) -> None:
        await client.call("debug_attach", service="web", breakpoints=[place(VIEW, ANSWER)])
        asked = {"method": "GET", "path": "/api/nowhere/", "tenant": "test1"}
        paused = await client.call("debug_request", **asked)
        assert paused["stopped"] == f"{place(VIEW, ANSWER)} in no_such_api"
        assert "nowhere" in paused["locals"]["request"]
        read = await client.call("debug_evaluate", expression="request.path")
        assert read["value"] == "'/api/nowhere/'"
        said = await client.refusal("debug_evaluate", expression="request.session.flush()")
        assert "--allow-changes" in said
        outer = await client.call("debug_where", frame=1)
        assert outer["stopped"] == paused["stack"][1].partition(" ")[2]
        ended = await client.call("debug_go_on")
        assert (ended["ended"]["status"], ended["stopped"]) == (404, None)
        assert "/api/nowhere/" in (await client.call("trace"))["trace"]

        await client.call("debug_attach", service="worker", breakpoints=[place(TASK, RESULT)])
        sent = stack.dev("manage", "shell", "--tenant", "test1", "-c", SEND)
        assert sent.returncode == 0, sent.stderr
        paused = await client.call("debug_wait", seconds=60)
        assert paused["stopped"].startswith(place(TASK, RESULT))
        assert paused["locals"]["message"] == "'hello'"
        await client.call("debug_end")
        assert "nothing is being debugged" in await client.refusal("debug_where")
        deadline = time.monotonic() + 60
        while "core.echo" not in {one.get("name") for one in await client.call("requests")}:
            assert time.monotonic() < deadline, "the task did not go on"

        await client.call("debug_attach", service="worker", breakpoints=[place(SCHEDULER, TICK)])
        paused = await client.call("debug_wait", seconds=60)
        assert paused["stopped"] == f"{place(SCHEDULER, TICK)} in tick"
        await client.call("debug_end")

    talk(stack, conversation)
