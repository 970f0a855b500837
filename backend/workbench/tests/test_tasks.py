"""What a worker has run is in its trace: what, for whom, with what, how it ended."""

import pytest
from celery import signals

from core.celery import app, echo, kept_connections
from workbench import traces
from workbench.state import read_activity


def run(task, *args, **headers):
    """Run a task like a worker, without one: with its signals."""
    from celery.app.trace import build_tracer

    request = {"id": "b40bccdc-d363-494f-8039-2f6ea0b685ed", "is_eager": False, "args": args,
               "kwargs": {}, "retries": 1, "ignore_result": True, **headers}  # fmt: skip
    tracer = build_tracer(task.name, task, app=app)
    # It would take the test's transaction for one that a time limit has interrupted.
    signals.task_postrun.disconnect(kept_connections.leave)
    try:
        return tracer(request["id"], args, {}, request)
    finally:
        signals.task_postrun.connect(kept_connections.leave)


@pytest.fixture
def breaks():
    @app.task(name="workbench.tests.breaks")
    def breaks():
        raise ValueError("too much")

    yield breaks
    app.tasks.pop(breaks.name)


@pytest.mark.django_db
def test_a_task_is_kept_with_its_arguments_result_and_tenant(kept):
    run(echo, "hello", _schema_name="test2")
    kept()
    (noted,) = read_activity().tasks
    (span,) = (one for one in traces.read(noted["trace"]).spans if "entry" in one)

    assert (noted["name"], noted["tenant"]) == ("core.echo", "test2")
    assert (noted["state"], noted["attempt"]) == ("SUCCESS", 2)
    said = {event["name"]: event for event in span["events"]}
    assert said["arguments"]["args"] == "('hello',)"
    assert "'tenant': 'test2'" in said["result"]["result"]


@pytest.mark.django_db
def test_a_failed_task_is_kept_with_its_traceback(kept, breaks):
    run(breaks)
    kept()
    (noted,) = read_activity().tasks
    (span,) = (one for one in traces.read(noted["trace"]).spans if "entry" in one)

    assert (noted["state"], noted["failed"]) == ("FAILURE", True)
    (error,) = (event for event in span["events"] if event["name"] == "exception")
    assert 'raise ValueError("too much")' in error["exception.stacktrace"]


@pytest.mark.django_db
def test_arguments_of_any_kind_are_kept_in_part(kept):
    run(echo, b"\x00\xff" * 100_000)
    kept()
    (noted,) = read_activity().tasks
    (span,) = (one for one in traces.read(noted["trace"]).spans if "entry" in one)
    arguments = next(event for event in span["events"] if event["name"] == "arguments")
    assert len(arguments["args"]) <= 2100


@pytest.mark.django_db
def test_a_dead_redis_does_not_fail_the_task(kept, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1"}}
    assert run(echo, "hello").retval["message"] == "hello"


def test_what_waits_in_the_queue_is_counted(redis_client, settings):
    with app.connection_for_write() as broker:
        queue = broker.default_channel.client
        before = read_activity().waiting
        queue.rpush(settings.CELERY_TASK_DEFAULT_QUEUE, "{}")
        try:
            assert read_activity().waiting == before + 1
        finally:
            queue.lrem(settings.CELERY_TASK_DEFAULT_QUEUE, 1, "{}")
