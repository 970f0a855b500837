"""A task that ends its process is stopped after a few tries, kept, and can be sent again."""

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from celery.app.task import Context
from django.core.management import call_command

from core.celery import SENDER, stopped_tasks
from core.celery.broker import broker
from core.celery.stopped_tasks import KEPT, TRIES
from core.tests.crashing import QUEUE, RUNS, crash
from core.tests.waiting import wait_until
from core.tests.workers import worker

CAME_BACK = {"delivery_info": {"redelivered": True}}


@pytest.fixture
def names():
    """Remove what a run leaves in the broker: its worker is killed, perhaps before it said yes."""
    yield
    broker().delete(RUNS, QUEUE, *broker().scan_iter(match="unacked*:crashing@*", count=1000))


def listed(*arguments: str) -> str:
    out = StringIO()
    call_command("tasks", *arguments, stdout=out)
    return out.getvalue()


def runs() -> list[bytes]:
    return broker().lrange(RUNS, 0, -1)


def test_a_task_that_ends_its_process_is_stopped_kept_and_sent_again(names):
    with worker("core.tests.crashing", QUEUE, "crashing"):
        sent = crash.delay("ends its process")
        crash.delay("ends")
        wait_until(lambda: broker().hexists(KEPT, sent.id), within=60, every=0.1)
        wait_until(lambda: b"ends" in runs(), within=60, every=0.1)
        assert runs().count(b"ends its process") == TRIES

        assert f"{sent.id}  " in listed()
        assert "public  core.tests.crash('ends its process'): it ended its process 3 t" in listed()

        assert listed("--send", sent.id, "--yes").endswith(f"sent again as: {sent.id}\n")
        wait_until(lambda: broker().hexists(KEPT, sent.id), within=60, every=0.1)
        assert runs().count(b"ends its process") == 2 * TRIES

    assert listed("--forget", sent.id, "--yes").endswith(f"forgotten: {sent.id}\n")
    assert sent.id not in stopped_tasks.kept()


def test_a_task_is_kept_with_the_tenant_that_sent_it(monkeypatch):
    monkeypatch.setattr(stopped_tasks, "TRIES", 1)
    monkeypatch.setattr(stopped_tasks, "KEPT", f"homeport:tests:kept:{uuid4()}")
    whose = {"_schema_name": "test1", SENDER: "0f5c1d1e-0000-4000-8000-000000000000"}
    request = Context({"id": "x", **CAME_BACK, **whose})

    arguments = ["hello", Decimal("1.50"), datetime(2026, 1, 1, tzinfo=UTC)]
    with stopped_tasks.counted("core.echo", request, tuple(arguments), {}) as allowed:
        assert not allowed
    assert stopped_tasks.kept()["x"]["headers"] == whose
    assert stopped_tasks.kept()["x"]["args"] == arguments  # of the types that they were sent with
    assert listed("--forget", "x", "--yes").endswith("forgotten: x\n")
    assert stopped_tasks.kept() == {}


def test_without_the_broker_tasks_run_uncounted(settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    with stopped_tasks.counted("a.task", Context({"id": "x", **CAME_BACK}), (), {}) as allowed:
        assert allowed


def test_a_task_that_is_taken_first_asks_the_broker_nothing(monkeypatch):
    monkeypatch.setattr(stopped_tasks, "broker", lambda: pytest.fail("the broker was asked"))
    request = Context({"id": "x", "delivery_info": {"redelivered": False}})
    with stopped_tasks.counted("a.task", request, (), {}) as allowed:
        assert allowed
