"""The workbench as local settings install it, with activity logs that the test does not share."""

import pytest
from django.test import Client

from workbench import state, views
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


@pytest.fixture
def bench(settings, redis_client, monkeypatch) -> Client:
    """A browser of the workbench; what earlier tests read is forgotten."""
    settings.ROOT_URLCONF = "workbench.urls"
    settings.MIDDLEWARE = [
        "workbench.middleware.ActivityMiddleware",
        *settings.MIDDLEWARE,
    ]
    settings.TENANT_FREE_PATHS = [*settings.TENANT_FREE_PATHS, r"/$", "/workbench/"]
    monkeypatch.setattr(views, "_rendered", {})
    for name in ("SERVICES", "ACTIVITY", "TENANTS"):
        known = getattr(state, name)
        monkeypatch.setattr(known, "_tried_at", float("-inf"))
        monkeypatch.setattr(known, "_value", None)
        monkeypatch.setattr(known, "_error", "")
    return Client(headers={"host": "localhost:8000"}, raise_request_exception=False)
