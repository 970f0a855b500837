"""What `manage.py tasks` shows and does; the worker is a real one."""

import json
import os
import re
import time
from io import StringIO
from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django_tenants.utils import schema_context

from core.celery import beat, failed_tasks, queue, task_list
from core.celery.broker import broker
from core.tests import workers
from core.tests.failing import QUEUE, exceed, fail, retry, sleep

NAME = f"failing{os.environ.get('PYTEST_XDIST_WORKER', '')}"


@pytest.fixture
def own(settings, monkeypatch):
    """A queue and a list of failed tasks of this test alone."""
    settings.CELERY_TASK_DEFAULT_QUEUE = QUEUE
    _delete_tasks()
    yield
    _delete_tasks()


def _delete_tasks():
    """Delete those that wait, and those of a killed worker, which the next would get back."""
    broker().delete(QUEUE, *broker().scan_iter(match=f"unacked*:{NAME}@*", count=1000))


def worker():
    """A worker of the tasks of this test alone."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=connection.settings_dict["NAME"])
    return workers.worker("core.tests.failing", QUEUE, NAME, DATABASE_URL=database.geturl())


def eventually(look, found=lambda one: one):
    """Return what `look` finds, when it does."""
    deadline = time.monotonic() + 60
    while not found(one := look()):
        assert time.monotonic() < deadline, one
        time.sleep(0.2)
    return one


def listed(*arguments):
    out = StringIO()
    call_command("tasks", *arguments, stdout=out)
    return out.getvalue()


def of(kind, task_id):
    """Return what is shown of a task of this kind."""
    return next((one for one in task_list.read()[kind] if one["id"] == task_id), None)


@pytest.mark.django_db
def test_tasks_are_seen_from_the_queue_to_their_failure_and_sent_again(own):
    with schema_context("test1"):
        failing = fail.delay("ann@example.com", "hunter2", password="hunter2")
        waits = retry.delay(600)
        runs = sleep.delay(600)
    found = task_list.read()["waiting"]  # with -n, there are other processes' tasks, too
    assert [one["id"] for one in found["first"]][:3] == [failing.id, waits.id, runs.id]
    assert found["number"] >= 3
    assert (found["first"][0]["task"], found["first"][0]["tenant"]) == ("core.tests.fail", "test1")

    with worker():
        kept = eventually(lambda: of("failed", failing.id))
        assert (kept["state"], kept["tenant"]) == ("failed", "test1")
        assert kept["arguments"].startswith("'ann@example.com', '*")
        assert kept["error"].startswith("ValueError: no answer from https://ann:*")
        assert "in fail" in kept["traceback"]
        assert "hunter2" not in json.dumps(task_list.read())

        retried = eventually(lambda: of("retried", waits.id))
        assert (retried["arguments"], retried["error"]) == ("600", "OSError: mail server away")
        delayed = eventually(lambda: task_list.find(waits.id), lambda one: one["until"])
        assert (delayed["state"], delayed["attempt"]) == ("waiting", 2)
        assert delayed["until"] > retried["since"]

        running = eventually(lambda: of("running", runs.id))
        assert running["worker"].startswith(NAME)
        assert listed("--end", runs.id, "--yes").endswith(f"ended: {runs.id}\n")
        assert of("running", runs.id) is None
        ended = eventually(lambda: of("failed", runs.id))
        assert (ended["state"], ended["tenant"], ended["arguments"]) == ("ended", "test1", "600")

        said = listed("--send", failing.id, "--yes")
        again = said.rpartition(": ")[2].strip()
        assert UUID(again) != UUID(failing.id)
        kept = eventually(lambda: of("failed", again))
        assert (kept["tenant"], of("failed", failing.id)) == ("test1", None)
    for one in (again, waits.id, runs.id):
        failed_tasks.forget(one)


def test_redis_may_wait_for_its_disk_as_long_as_it_does(own):
    broker().client_pause(1500, all=False)  # every change waits; Redis' own limit is 2 s
    broker().lpush(QUEUE, "")


@pytest.mark.django_db
def test_a_task_over_its_time_limit_is_kept_with_its_tenant(own):
    with schema_context("test2"):
        sent = exceed.delay()
    with worker():
        kept = eventually(lambda: of("failed", sent.id))
    assert (kept["tenant"], kept["error"][:17]) == ("test2", "TimeLimitExceeded")
    failed_tasks.forget(sent.id)


@pytest.mark.django_db
def test_a_task_that_succeeds_after_all_is_no_longer_listed(own):
    sent = retry.delay(3)
    with worker():
        eventually(lambda: of("retried", sent.id))
        eventually(lambda: not of("retried", sent.id))
    assert of("failed", sent.id) is None


# --- what is kept --------------------------------------------------------------------------


@pytest.fixture
def kept(monkeypatch):
    """Keep a task as a worker would, in a list of this test alone."""
    monkeypatch.setattr(failed_tasks, "KEPT", f"homeport:tests:failed:{uuid4()}")
    monkeypatch.setattr(failed_tasks, "_WHEN", f"homeport:tests:failed-when:{uuid4()}")

    def keep(args=(), state="failed", **kwargs):
        whose = {"_schema_name": "public"}
        request = SimpleNamespace(id=str(uuid4()), delivery_info={}, retries=0, **whose)
        one = failed_tasks._described(request, state, "core.echo")
        failed_tasks._keep(one, args, kwargs, ValueError("why"), None)
        return request.id

    yield keep
    broker().delete(failed_tasks.KEPT, failed_tasks._WHEN)


def test_the_last_ones_are_kept_alone(kept, monkeypatch):
    monkeypatch.setattr(failed_tasks, "LENGTH", 3)
    sent = [kept([number]) for number in range(5)]
    assert [one["id"] for one in failed_tasks.failed()] == sent[:1:-1]
    assert broker().zcard(failed_tasks._WHEN) == 3


def test_arguments_without_end_are_not_kept_and_cannot_be_sent(kept):
    task_id = kept(["x" * 10**6])
    assert broker().memory_usage(failed_tasks.KEPT) < 10_000
    assert "too long to be kept" in listed()
    with pytest.raises(CommandError, match="longer than"):
        listed("--send", task_id, "--yes")


def test_arguments_that_are_no_text_are_sent_as_they_were(kept):
    value = {"when": uuid4(), "what": b"\x00\xff"}
    kept([value])
    assert failed_tasks.failed()[0]["args"] == [value]
    assert "b'\\x00\\xff'" in listed()


def test_positional_arguments_of_a_task_that_is_no_longer_known_are_masked(kept, monkeypatch):
    kept(["hunter2"])
    assert "hunter2" in listed()
    monkeypatch.setattr(task_list, "registered_tasks", dict)
    assert "hunter2" not in listed()


def test_one_whose_task_no_longer_takes_its_arguments_is_not_sent(kept):
    task_id = kept(["one", "too many"])
    with pytest.raises(CommandError, match="takes 1 positional argument"):
        listed("--send", task_id, "--yes")
    assert [one["id"] for one in failed_tasks.failed()] == [task_id]


def test_nothing_is_done_without_being_asked_for(kept, monkeypatch):
    task_id = kept()
    with pytest.raises(CommandError, match="add --yes"):
        listed("--forget", task_id)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    with pytest.raises(CommandError, match="nothing was done"):
        listed("--send", task_id)
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    assert listed("--forget", task_id).endswith(f"forgotten: {task_id}\n")
    assert failed_tasks.failed() == []


def test_one_is_shown_with_its_traceback(kept):
    task_id = kept(["hello"])
    assert "arguments  'hello'" in listed(task_id)
    assert json.loads(listed(task_id, "--json"))["error"] == "ValueError: why"


@pytest.mark.parametrize("option", ["--send", "--end", "--forget"])
def test_a_task_that_is_not_there_is_named(kept, option):
    with pytest.raises(CommandError, match="no task 'nosuch'"):
        listed(option, "nosuch", "--yes")


def test_one_that_only_waits_for_another_try_is_neither_sent_nor_forgotten(kept):
    task_id = kept(state="retried")
    for option in ("--send", "--forget"):
        with pytest.raises(CommandError, match="no failed task"):
            listed(option, task_id, "--yes")


def test_schedules_are_listed_with_last_and_next(kept, monkeypatch):
    monkeypatch.setattr(beat, "LAST", f"homeport:tests:last:{uuid4()}")
    found = {one["name"]: one for one in task_list.schedules()}["users.remove_expired_log_ins"]
    assert (found["times"], found["tenants"]) == ("15 * * * *", "none")
    assert found["last"] is None
    assert found["next"].endswith(":15:00+00:00")
    broker().hset(beat.LAST, found["name"], "2026-01-02T03:15:00+00:00")
    (found,) = [one for one in task_list.schedules() if one["name"] == found["name"]]
    assert (found["last"], found["next"]) == (
        "2026-01-02T03:15:00+00:00",
        "2026-01-02T04:15:00+00:00",
    )
    # The product's other schedules decide how wide the columns are.
    row = r"users\.remove_expired_log_ins +15 \* \* \* \* +none +2026-01-02"
    assert re.search(row, listed())
    broker().delete(beat.LAST)


def test_a_broker_that_is_gone_is_named(settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(CommandError, match="the broker does not answer"):
        listed()


def test_with_json_nothing_is_asked_and_the_answer_has_what_was_done_or_is_wrong(kept):
    task_id, out = kept(), StringIO()
    with pytest.raises(CommandError, match="add --yes"):
        call_command("tasks", "--forget", task_id, "--json", stdout=out)
    assert "add --yes" in json.loads(out.getvalue())["problems"][0]["what"]
    assert json.loads(listed("--forget", task_id, "--json", "--yes")) == {"done": [task_id]}


def test_a_message_that_is_not_of_celery_is_shown_as_unknown(own):
    broker().lpush(QUEUE, "{}")
    assert queue.waiting(5)[0]["task"] == "unknown"
    assert "unknown()" in listed()
