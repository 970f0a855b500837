"""The page of schedules and tasks, and the questions before a task is sent again or ended."""

import json
import re
import time
from uuid import uuid4

import pytest
from django.test import Client

from core.celery import failed_tasks, task_list
from core.celery.broker import broker
from workbench import tasks

ADDRESS = "/workbench/tasks/"


@pytest.fixture(autouse=True)
def unread(monkeypatch, bench):
    """Forget what earlier tests read."""
    for name, value in (("_tried_at", float("-inf")), ("_value", None), ("_error", "")):
        monkeypatch.setattr(tasks.TASKS, name, value)
    monkeypatch.setattr(tasks.TASKS, "_keep", 0)


@pytest.fixture
def failed(monkeypatch) -> str:
    """A task that failed, in a list of this test alone; return its id."""
    monkeypatch.setattr(failed_tasks, "KEPT", f"homeport:tests:failed:{uuid4()}")
    entry = {
        "id": str(uuid4()), "task": "core.echo",
        "args": ["<b>hello</b>"], "kwargs": {"token": "hunter2"},
        "headers": {"_schema_name": "test2"}, "queue": None, "retries": 0, "state": "failed",
        "at": time.time(), "error": "ValueError: why", "traceback": "Traceback: in echo",
    }  # fmt: skip
    broker().hset(failed_tasks.KEPT, entry["id"], json.dumps(entry))
    yield entry["id"]
    broker().delete(failed_tasks.KEPT)


def section(html: str, name: str) -> str:
    return re.search(rf'<section[^>]* id="{name}">.*?</section>', html, re.S).group()


def test_schedules_and_tasks_are_shown_with_arguments_and_traceback(bench, failed):
    page = bench.get(ADDRESS).content.decode()
    assert "15 * * * *" in section(page, "schedules")
    shown = section(page, "failed")
    for part in ("core.echo", "test2", "ValueError: why", "Traceback: in echo", "&lt;b&gt;hello"):
        assert part in shown
    assert "hunter2" not in page
    assert f"{ADDRESS}{failed}/send/" in shown


@pytest.mark.parametrize(
    ("action", "question"), [("send", "Send this task again?"), ("forget", "Forget this task?")]
)
def test_what_is_asked_is_done_after_the_answer_alone(bench, failed, monkeypatch, action, question):
    done = []
    asked = tasks.ACTIONS[action]
    monkeypatch.setitem(tasks.ACTIONS, action, (asked[0], done.append, asked[2]))
    page = bench.get(f"{ADDRESS}{failed}/{action}/").content.decode()
    assert question in page
    assert 'name="csrfmiddlewaretoken"' in page
    assert done == []

    answer = bench.post(f"{ADDRESS}{failed}/{action}/")
    assert (answer.status_code, answer["Location"], done) == (302, ADDRESS, [failed])


def test_another_site_cannot_answer(bench, failed):
    browser = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    assert browser.post(f"{ADDRESS}{failed}/forget/").status_code == 403
    assert [one["id"] for one in failed_tasks.failed()] == [failed]


def test_a_task_that_is_gone_meanwhile_is_said(bench, failed):
    failed_tasks.forget(failed)
    for answer in (bench.get(f"{ADDRESS}{failed}/send/"), bench.post(f"{ADDRESS}{failed}/send/")):
        assert answer.status_code == 409
        assert "no task" in answer.content.decode()


def test_a_task_that_does_not_run_cannot_be_ended(bench, failed):
    answer = bench.post(f"{ADDRESS}{failed}/end/")
    assert answer.status_code == 409
    assert "runs; without options" in answer.content.decode()


def test_nothing_else_can_be_done(bench, failed):
    assert bench.get(f"{ADDRESS}{failed}/explode/").status_code == 404


def test_without_the_broker_the_page_says_so(bench, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    answer = bench.get(ADDRESS)
    assert answer.status_code == 200
    assert "The tasks could not be read" in answer.content.decode()


def test_no_worker_is_said(bench, monkeypatch):
    monkeypatch.setattr(task_list, "living_workers", list)
    assert "No worker is heard from" in bench.get(ADDRESS).content.decode()
