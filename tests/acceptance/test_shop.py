"""The sample shop: accounts, products, cart, orders, tickets and the admin."""

from __future__ import annotations

import csv
import io
import re
import secrets
from functools import cached_property

import pytest
from criteria import Seen, criterion
from running import PASSWORD, ProductStack, Tenant
from running_stack import Failed
from web_client import Answer, Browser, Client

from devtools.readiness import wait_until


class Shop:
    """A tenant with products and a customer."""

    PRODUCTS = ("Verify teapot", "Verify lantern")
    CUSTOMER = "verify-customer@example.com"
    _FILL = (
        "from products.models import Category, Product\n"
        "category = Category.objects.create(slug='verify', name='Verify')\n"
        f"for number, name in enumerate({PRODUCTS!r}):\n"
        "    Product.objects.create(sku=f'V-{number}', name=name, category=category,\n"
        "        price=10 + number, stock=50)\n"
    )

    def __init__(self, stack: ProductStack, tenant: Tenant) -> None:
        if stack.single:
            pytest.skip("the shop's checks would leave products in the only tenant")
        self._tenant = tenant
        stack.shell(self._FILL, tenant.name)

    def visitor(self) -> Client:
        """A client without an account."""
        return Client(self._tenant.port, self._tenant.name)

    @property
    def staff(self) -> Browser:
        """A browser that is logged in to the admin."""
        return self._tenant.staff

    @cached_property
    def customer(self) -> Client:
        """A client with an account and its token."""
        client = self.visitor()
        account = {"email": self.CUSTOMER, "password": PASSWORD}
        client.send("POST", "/api/auth/register/", account).must_be(201)
        tokens = client.send("POST", "/api/auth/login/", account).must_be(200).json()
        client.token = tokens["access"]
        return client


@pytest.fixture(scope="module")
def shop(stack: ProductStack, tenant: Tenant) -> Shop:
    return Shop(stack, tenant)


@criterion("BP-6", "register, log in, refresh; protected endpoints need the token")
def test_accounts(shop: Shop, seen: Seen) -> None:
    client = shop.visitor()
    account = {
        "email": f"verify-{secrets.token_hex(4)}@example.com",
        "password": secrets.token_urlsafe(12),
    }
    client.get("/api/cart/").must_be(401)
    client.send("POST", "/api/auth/register/", account).must_be(201)
    client.send("POST", "/api/auth/login/", {**account, "password": "wrong"}).must_be(401)
    tokens = client.send("POST", "/api/auth/login/", account).must_be(200).json()
    client.token = tokens["access"]
    client.get("/api/cart/").must_be(200)
    refresh = {"refresh": tokens["refresh"]}
    client.token = (
        client.send("POST", "/api/auth/token/refresh/", refresh).must_be(200).json()["access"]
    )
    client.get("/api/cart/").must_be(200)
    seen("registered 201, wrong password 401, log-in 200, refresh 200; cart: 401 without, 200 with")


@criterion("BP-7", "products list and detail, filter and search")
def test_products(shop: Shop, seen: Seen) -> None:
    client = shop.visitor()
    teapot, lantern = shop.PRODUCTS
    found = {
        query: {one["name"] for one in _list(client, f"/api/products/{query}")}
        for query in ("", "?category=verify&max_price=10", "?search=lantern")
    }
    wanted = {
        "": {teapot, lantern},
        "?category=verify&max_price=10": {teapot},
        "?search=lantern": {lantern},
    }
    if found != wanted:
        raise Failed(f"lists are {found}")
    first = _list(client, "/api/products/")[0]
    detail = client.get(f"/api/products/{first['id']}/").must_be(200).json()
    seen(f"list of 2; filtered: {teapot}; searched: {lantern}; detail of {detail['sku']}")


def _list(client: Client, path: str) -> list:
    return client.get(path).must_be(200).json()["results"]


@criterion("BP-8", "cart add, view, update, remove, with authentication")
def test_cart(shop: Shop, seen: Seen) -> None:
    shop.visitor().get("/api/cart/").must_be(401)
    client = shop.customer
    item = _fill(client)
    client.send("PATCH", f"/api/cart/update/{item}/", {"quantity": 3}).must_be(200)
    held = client.get("/api/cart/").must_be(200).json()["items"]
    if [one["quantity"] for one in held] != [3]:
        raise Failed(f"after an update to 3 the cart holds {held}")
    client.send("DELETE", f"/api/cart/remove/{item}/", None).must_be(200, 204)
    if client.get("/api/cart/").must_be(200).json()["items"]:
        raise Failed("after removing its item the cart is not empty")
    seen("401 without a token; added, 3 pieces after an update, empty after removal")


def _fill(client: Client) -> int:
    product = _list(client, "/api/products/")[0]["id"]
    added = client.send("POST", "/api/cart/add/", {"product": product, "quantity": 1})
    added.must_be(200, 201)
    return client.get("/api/cart/").json()["items"][0]["id"]


@criterion("BP-9", "orders create, list, detail, CSV; e-mail notification")
def test_orders(shop: Shop, seen: Seen) -> None:
    client = shop.customer
    _fill(client)
    order = client.send("POST", "/api/orders/create/", {}).must_be(201).json()
    number, identifier = order["number"], order["id"]
    if number not in [one["number"] for one in _list(client, "/api/orders/")]:
        raise Failed(f"the list lacks {number}")
    client.get(f"/api/orders/{identifier}/").must_be(200)
    sheet = client.get(f"/api/orders/{identifier}/csv/").must_be(200)
    rows = list(csv.reader(io.StringIO(sheet.text.lstrip("\ufeff"))))
    if len(rows) < 2 or number not in sheet.text:
        raise Failed(f"the CSV of {number} is {sheet.text[:80]!r}")
    wait_until(
        lambda: f"Your order {number}" in client.get("/workbench/live/").text,
        30,
        f"the workbench did not show the e-mail about {number}",
    )
    seen(f"order {number}: listed, detail 200, CSV of {len(rows)} rows, e-mail `Your order …`")


@criterion("BP-10", "tickets create, list, detail")
def test_tickets(shop: Shop, seen: Seen) -> None:
    client = shop.customer
    ticket = {"subject": "Verify", "body": "Is anybody there?"}
    made = client.send("POST", "/api/tickets/", ticket).must_be(201).json()
    if made["id"] not in [one["id"] for one in _list(client, "/api/tickets/")]:
        raise Failed("the list lacks the new ticket")
    detail = client.get(f"/api/tickets/{made['id']}/").must_be(200).json()
    seen(f"ticket {made['id']}: listed, {detail['status']}, {len(detail['messages'])} message")


@criterion("BP-11", "admin: log in, create, read, update, delete")
def test_admin(shop: Shop, seen: Seen) -> None:
    browser, slug = shop.staff, f"verify-{secrets.token_hex(4)}"
    place = "/admin/products/category/"
    _saved(browser.submit(f"{place}add/", name="Made", slug=slug))
    page = browser.get(f"{place}?q=Made").must_be(200).text
    row = re.search(rf"{place}(\d+)/change/", page)
    if not row:
        raise Failed("the list does not show what was added")
    one = f"{place}{row.group(1)}/"
    _saved(browser.submit(f"{one}change/", name="Changed", slug=slug))
    if 'value="Changed"' not in browser.get(f"{one}change/").must_be(200).text:
        raise Failed("a change was not kept")
    _saved(browser.submit(f"{one}delete/", post="yes"))
    if browser.get(f"{one}change/").status == 200:
        raise Failed("what was deleted is still there")
    seen("logged in; a category was added, found, changed and deleted")


def _saved(answer: Answer) -> None:
    if answer.status != 302:
        faults = re.findall(r'class="errorlist[^>]*>(.*?)</ul>', answer.text, re.S)
        raise Failed(f"the admin answered {answer.status}: {' '.join(faults)[:120]}")


@criterion("BP-19", "data from a SQLite `dumpdata` loads without loss", long=True)
def test_moving_in(stack: ProductStack, seen: Seen) -> None:
    seen(stack.backend_tests("demo/tests/test_moving_in.py"))


@criterion("PL-2")
def test_a_fixture_loads(stack: ProductStack, tenant: Tenant, seen: Seen) -> None:
    loaded = stack.dev("manage", "loaddata", "products", "--tenant", tenant.name).stdout
    objects = re.search(r"Installed (\d+) object", loaded)
    if not objects:
        raise Failed(f"loaddata printed {loaded.strip()!r}")
    seen(f"a fixture of {objects.group(1)} objects loaded")
