"""An assistant finds three planted faults by the tools of `./dev mcp`, and names their lines.

The client is the protocol's own; what it decides follows from the answers alone.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest
from embedded_checkout import EmbeddedCheckout
from protocol_client import Client, talk

pytestmark = [pytest.mark.stack, pytest.mark.long]

# By file: a line, and what is planted in its place. Each fault is the line with FAULT.
FAULT = "fault"
PLANTED = {
    "backend/products/views.py": (
        "        return visible_products()\n",
        "        found = visible_products()\n"
        f"        found = found.filter(stock__gt=1)  # {FAULT}\n"
        "        return found\n",
    ),
    "backend/orders/services.py": (
        "to=[order.user.email], headers",
        f"to=[order.user.mail_address],  # {FAULT}\n        headers",
    ),
    "backend/workbench/templates/workbench/home.html": (
        "<h1>{{ site }}",
        f"<h1>{{% url 'no-such-page' %}}{{# {FAULT} #}}{{{{ site }}}}",
    ),
}


@pytest.fixture(scope="module")
def stack(venv, tmp_path_factory):
    checkout = EmbeddedCheckout.make(tmp_path_factory.mktemp("embedded") / "faulty", venv)
    for name, (old, new) in PLANTED.items():
        file = checkout.root / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
    yield checkout
    checkout.clean()


def place_of(stack: EmbeddedCheckout, name: str) -> str:
    """FILE:LINE of the planted fault in a file."""
    lines = (stack.root / name).read_text().splitlines()
    return f"{name}:{next(n for n, line in enumerate(lines, 1) if FAULT in line)}"


async def wrong_filter(client: Client, root: Path) -> str:
    """From a failing test to the line after which rows are missing."""
    [test] = [
        one["test"]
        for one in (await client.call("tests", which=["products"], keyword="newest"))["failures"]
    ]
    [route] = [
        one
        for one in await client.call("routes", word="ProductListView")
        if one["path"] == "/api/v1/products/"
    ]
    file = route["place"].partition(":")[0]
    source = (root / file).read_text().splitlines()
    begin = next(n for n, line in enumerate(source, 1) if "def get_queryset" in line) + 1
    paused = await client.call("debug_test", test=test, breakpoints=[f"{file}:{begin}"])
    rows = None
    while True:
        before = paused["stopped"].partition(" ")[0]
        paused = await client.call("debug_go_on", how="over")
        counted = await client.call("debug_evaluate", expression="found.count()")
        if rows is not None and int(counted["value"]) < rows:
            await client.call("debug_end")
            return before
        rows = int(counted["value"])


async def failing_task(client: Client) -> str:
    """From an order whose e-mail does not come to the last line of the task's traceback."""
    account = {"email": "ann@example.com", "password": "correct horse battery 7"}
    await client.call(
        "request", method="POST", path="/api/auth/register/", tenant="test1", body=account
    )
    await client.call(
        "request", method="POST", path="/api/auth/login/", tenant="test1", body=account
    )
    [[product]] = (
        await client.call("sql", tenant="test1", query="SELECT id FROM products_product LIMIT 1")
    )["rows"]
    await client.call(
        "request",
        method="POST",
        path="/api/cart/add/",
        tenant="test1",
        body={"product": product, "quantity": 1},
    )
    made = await client.call(
        "request", method="POST", path="/api/orders/create/", tenant="test1", body={}
    )
    assert made["status"] == 201, made
    for _ in range(60):
        failed = (await client.call("tasks"))["failed"]
        if failed:
            break
    log = await client.call("logs", service="worker", contains=failed[0]["id"])
    [file, line] = re.findall(r'File \\?"[^"]*?/(backend/[^"\\]+)\\?", line (\d+)', str(log))[-1]
    return f"{file}:{line}"


async def broken_template(client: Client) -> str:
    """From a page that answers 500 to the template's line."""
    answer = await client.call("request", method="GET", path="/", tenant="test1")
    assert answer["status"] == 500
    [(file, line)] = re.findall(
        r"In template \S*?/(backend/\S+), error at line (\d+)", answer["body"]
    )
    return f"{file}:{line}"


def test_it_brings_a_stack_up_and_names_three_planted_faults(stack):
    async def conversation(client: Client) -> dict[str, str]:
        assert (await client.call("status"))["state"] == "down"
        assert (await client.call("up"))["state"] == "up"
        await asyncio.to_thread(stack.must, "manage", "seed_demo", "--tenant", "test1")
        try:
            return {
                "products/views": await wrong_filter(client, stack.root),
                "orders/services": await failing_task(client),
                "workbench/home": await broken_template(client),
            }
        finally:
            Path(os.environ.get("TRANSCRIPT", os.devnull)).write_text("\n".join(client.transcript))

    assert talk(stack, conversation) == {
        "products/views": place_of(stack, "backend/products/views.py"),
        "orders/services": place_of(stack, "backend/orders/services.py"),
        "workbench/home": place_of(stack, "backend/workbench/templates/workbench/home.html"),
    }
