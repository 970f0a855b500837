"""Snapshots in the running stack: web and worker continue with the restored database."""

from __future__ import annotations

import json

import pytest
from running_stack import eventually
from tenant_work import PROFILE, bearer


@pytest.fixture
def snapshots(running):
    yield running
    for one in json.loads(running.dev("snapshot", "list", "--json").stdout):
        running.dev("snapshot", "delete", one["name"], "--yes")


def test_web_and_worker_use_the_restored_database(snapshots):
    stack = snapshots
    before = stack.containers()
    stack.dev("snapshot", "save", "two")
    stack.dev("manage", "create_tenant", "third")
    said = stack.dev("snapshot", "restore", "two")
    assert "the cache was emptied" in said.stdout
    assert "third" not in stack.dev("manage", "list_tenants").stdout
    assert eventually(lambda: stack.health()["status"] == "ok")
    assert stack.get(PROFILE, **bearer(stack)).status == 200
    # The worker too: a task that queries the database succeeds.
    sent = "from core.celery import echo; print(echo.delay('back').get(timeout=60)['message'])"
    assert stack.python(sent).endswith("back")
    assert stack.containers() == before

    stack.dev("snapshot", "restore", "previous")
    assert stack.get(PROFILE, X_Tenant="third", **bearer(stack, "third")).status == 200
    stack.dev("manage", "drop_tenant", "third", "--yes")
