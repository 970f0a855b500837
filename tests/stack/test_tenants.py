"""Tenants of the running stack: both at once, through the published port.

Asks the stack at HOMEPORT_URL, or the one this checkout's Compose project runs.
"""

from __future__ import annotations

import collections
import http.client
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

CHECKOUT = Path(__file__).parents[2]
REQUESTS, CLIENTS = 2_000, 8

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def address() -> str:
    """Return HOST:PORT of web."""
    if url := os.environ.get("HOMEPORT_URL"):
        return urlsplit(url).netloc
    asked = subprocess.run(
        ["docker", "compose", "port", "web", "8000"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode or not asked.stdout.strip():
        pytest.skip("no stack runs; start one with ./dev up, or set HOMEPORT_URL")
    return asked.stdout.strip()


def hammer(address: str, client: int) -> collections.Counter:
    """Ask as both tenants in turn over one connection; count who answered whom."""
    seen: collections.Counter = collections.Counter()
    connection = http.client.HTTPConnection(address, timeout=30)
    for turn in range(REQUESTS // CLIENTS):
        tenant = f"test{(client + turn) % 2 + 1}"
        connection.request("GET", "/", headers={"Host": f"{tenant}.localhost"})
        page = connection.getresponse().read().decode()
        answered = {name for name in ("test1", "test2") if f"<code>{name}</code>" in page}
        seen[tenant, *answered] += 1
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
