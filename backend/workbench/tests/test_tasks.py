"""Each task that a worker has run is noted: what, for whom, how it ended, how long it took."""

import pytest

from core.celery import app, echo
from workbench import worker
from workbench.state import read_activity


class Request:
    is_eager = False
    retries = 1
    headers = {"_schema_name": "test2"}


@pytest.fixture
def task(monkeypatch):
    monkeypatch.setattr(type(echo), "request", Request, raising=False)
    return echo


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "RETRY"])
def test_a_task_is_noted_when_it_has_ended(redis_client, task, state):
    worker.note_start(task_id="1")
    worker.note_end(task_id="1", task=task, state=state)
    worker.write_the_last()
    (noted,) = read_activity().tasks

    assert (noted["name"], noted["tenant"]) == ("core.echo", "test2")
    assert (noted["state"], noted["attempt"]) == (state, 2)
    assert noted["ms"] >= 0


def test_a_task_that_ends_without_having_begun_here_is_not_noted(redis_client, task):
    worker.note_end(task_id="2", task=task, state="SUCCESS")
    worker.write_the_last()
    assert read_activity().tasks == []


@pytest.mark.django_db
def test_a_task_that_is_called_in_place_is_not_noted(redis_client):
    echo.apply(args=["hello"])
    worker.write_the_last()
    assert read_activity().tasks == []


def test_a_dead_redis_does_not_fail_the_task(settings, task):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1"}}
    worker.note_start(task_id="3")
    worker.note_end(task_id="3", task=task, state="SUCCESS")
    worker.write_the_last()


def test_what_waits_in_the_queue_is_counted(redis_client, settings):
    with app.connection_for_write() as broker:
        queue = broker.default_channel.client
        before = read_activity().waiting
        queue.rpush(settings.CELERY_TASK_DEFAULT_QUEUE, "{}")
        try:
            assert read_activity().waiting == before + 1
        finally:
            queue.lrem(settings.CELERY_TASK_DEFAULT_QUEUE, 1, "{}")
