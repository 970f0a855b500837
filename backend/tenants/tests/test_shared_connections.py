"""Connections that threads take in turns (tenants/postgresql/shared.py)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection

from core.tests.waiting import wait_until
from tenants.postgresql import shared


@pytest.fixture
def alone():
    """A connection that shares one place with all others."""
    made = connection.copy()
    made.settings_dict |= {"SHARED": 1, "SHARED_MAX_AGE": 60}
    return made


def test_a_connection_that_fails_leaves_its_place_to_the_thread_that_waits(alone, monkeypatch):
    with ThreadPoolExecutor(1) as pool:
        waiting = []

        def refused(parameters):
            waiting.append(pool.submit(shared.take, 1))
            wait_until(lambda: shared._waiting)
            raise OperationalError("refused")

        monkeypatch.setattr(alone, "_connect", refused)
        monkeypatch.setattr(shared, "WAIT", 5)
        with pytest.raises(OperationalError, match="refused"):
            alone.connect()
        shared.give_back(waiting[0].result())
