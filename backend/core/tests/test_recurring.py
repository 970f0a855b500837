"""What recurs is sent by one worker, once in a while."""

from types import SimpleNamespace

import pytest
import redis
from django.conf import settings

from core import recurring
from core.celery import app


@pytest.fixture
def sent(monkeypatch):
    """Collect what a worker sends, with the note of this test alone."""
    monkeypatch.setattr(recurring, "NOTE", "homeport:recurring:test")
    names = []
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        client.delete(recurring.NOTE)
        yield SimpleNamespace(
            names=names,
            client=client,
            app=SimpleNamespace(
                conf=app.conf,
                send_task=names.append,
                connection_for_write=app.connection_for_write,
            ),
        )
        client.delete(recurring.NOTE)


def test_of_many_workers_one_sends_and_not_again_before_it_is_time(sent):
    for _ in range(3):
        recurring.send_due(sent.app)
    assert "orders.send_missing_confirmations" in sent.names
    assert len(sent.names) == len(set(sent.names))
    assert 0 < sent.client.ttl(recurring.NOTE) <= recurring.INTERVAL


def test_a_broker_that_is_down_does_no_harm(sent):
    sent.app.conf = SimpleNamespace(broker_url="redis://127.0.0.1:1/0")
    recurring.send_due(sent.app)
    assert sent.names == []
