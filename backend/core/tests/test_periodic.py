"""Periodic tasks are sent by one worker, once each interval."""

from types import SimpleNamespace

import pytest
import redis
from django.conf import settings

from core.celery import app, periodic


@pytest.fixture
def sent(monkeypatch):
    """Collect what a worker sends, with a key of this test alone."""
    app.loader.import_default_modules()  # as a worker does at its start
    monkeypatch.setattr(periodic, "KEY", "homeport:periodic:test")
    names = []
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        client.delete(periodic.KEY)
        yield SimpleNamespace(
            names=names,
            client=client,
            app=SimpleNamespace(
                send_task=names.append,
                connection_for_write=app.connection_for_write,
            ),
        )
        client.delete(periodic.KEY)


def test_of_many_workers_one_sends_and_not_again_before_it_is_time(sent):
    for _ in range(3):
        periodic.send_due(sent.app)
    assert "notes.count_missing_words" in sent.names
    assert len(sent.names) == len(set(sent.names))
    assert 0 < sent.client.ttl(periodic.KEY) <= periodic.INTERVAL


def test_a_broker_that_is_down_does_no_harm(sent, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    periodic.send_due(sent.app)
    assert sent.names == []
