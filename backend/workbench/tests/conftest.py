"""The workbench as local settings install it, with activity logs that the test does not share."""

import logging

import pytest
from django.test import Client

from core.tracing.instrumentation import provider
from workbench import spans, state, views
from workbench.activity_log import connect, key


@pytest.fixture
def redis_client():
    """A client of the activity logs' Redis; the test begins and ends with empty logs."""
    with connect() as client:
        _empty(client)
        yield client
        _empty(client)


def _empty(client) -> None:
    for name in client.scan_iter(match=key("*"), count=1000):
        client.delete(name)


class WhileOn(spans.Keeper):
    """A provider keeps its processors for ever; this one keeps spans while a test asks for it."""

    on = False

    def on_end(self, span) -> None:
        if self.on:
            super().on_end(span)


@pytest.fixture(scope="session")
def _keeper():
    keeper = WhileOn()
    provider().add_span_processor(keeper)
    logging.root.addHandler(spans.Lines())
    return keeper


@pytest.fixture
def kept(redis_client, _keeper):
    """Keep the traces of this test; call it to have them written."""
    _keeper.on = True
    yield lambda: spans.writer.flush(redis_client)
    _keeper.on = False
    spans.writer.flush(redis_client)


@pytest.fixture
def bench(settings, kept, redis_client, monkeypatch) -> Client:
    """A browser of the workbench; what earlier tests read is forgotten."""
    settings.ROOT_URLCONF = "workbench.urls"
    settings.TENANT_FREE_PATHS = [*settings.TENANT_FREE_PATHS, r"/$", "/workbench/"]
    monkeypatch.setattr(views, "_rendered", {})
    for name in ("SERVICES", "ACTIVITY", "TENANTS"):
        known = getattr(state, name)
        monkeypatch.setattr(known, "_tried_at", float("-inf"))
        monkeypatch.setattr(known, "_value", None)
        monkeypatch.setattr(known, "_error", "")
    return Client(headers={"host": "localhost:8000"}, raise_request_exception=False)
