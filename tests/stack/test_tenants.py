"""Tenants of the running stack: both at once, through the published port."""

from __future__ import annotations

import collections
import http.client
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

REQUESTS, CLIENTS = 2_000, 8


@pytest.fixture
def address(running) -> str:
    """Return HOST:PORT of web."""
    return urlsplit(running.url()).netloc


def hammer(address: str, client: int) -> collections.Counter:
    """Call both tenants in turn over one connection; count the responses of each.

    A response that no tenant's page is counts by its status and its first words.
    """
    seen: collections.Counter = collections.Counter()
    connection = http.client.HTTPConnection(address, timeout=30)
    for turn in range(REQUESTS // CLIENTS):
        tenant = f"test{(client + turn) % 2 + 1}"
        connection.request("GET", "/", headers={"Host": f"{tenant}.localhost"})
        response = connection.getresponse()
        page = response.read().decode()
        answered = [name for name in ("test1", "test2") if f"<code>{name}</code>" in page]
        seen[tenant, *(answered or [f"{response.status} {page[:500]}"])] += 1
    connection.close()
    return seen


def test_every_answer_is_of_the_tenant_that_was_asked(address):
    with ThreadPoolExecutor(CLIENTS) as pool:
        seen = sum(pool.map(hammer, [address] * CLIENTS, range(CLIENTS)), collections.Counter())
    assert seen == {("test1", "test1"): REQUESTS // 2, ("test2", "test2"): REQUESTS // 2}


@pytest.mark.parametrize(("host", "status"), [("nosuch.localhost", 404), ("evil.example", 400)])
def test_a_host_that_names_no_tenant_is_refused(address, host, status):
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/", headers={"Host": host})
    assert connection.getresponse().status == status
    connection.close()
