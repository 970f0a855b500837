"""How fast the API answers: a table, all measured in this one run.

`./dev bench api` runs it, with its own table. It runs as app_owner, in two tenants that are
made for it and removed at the end.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Barrier
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from cart.models import Cart, CartItem
from demo.services import seed
from products.models import Product
from tenants.services import create_tenant, drop_tenant
from users.models import User
from users.tokens import AccessToken

SMALL, LARGE = "bench_small", "bench_large"
SIZES = {SMALL: 100, LARGE: 100_000}
CONNECTIONS = (10, 50, 100)
LISTS = {
    "list, remembered": "/api/products/",
    # An ever different limit, so that nothing is remembered.
    "list, read each time": "/api/products/?max_price={number}",
    "search": "/api/products/?search=teapot+{number}",
}
GOAL = 1.5  # p50 of the large catalogue's list over the small one's

Ask = Callable[[HTTPConnection, int], float]


class Command(BaseCommand):
    help = "Measure the API under load, in scratch tenants, which are removed at the end."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default="http://web:8000", help="of a running web server")
        parser.add_argument("--seconds", type=float, default=5, help="of each load")
        parser.add_argument("--rounds", type=int, default=100, help="requests of each comparison")
        parser.add_argument("--json", action="store_true", help="for programs, as ./dev bench")

    def handle(self, *args, url: str, seconds: float, rounds: int, **options) -> None:
        self.server = urlsplit(url).netloc
        self.figures: list[dict] = []
        self.quiet = options["json"]
        with tenants():
            self.compare_lists(rounds)
            self.load("list, remembered", seconds, get("/api/products/"))
            self.load("list, read each time", seconds, get(LISTS["list, read each time"]))
            self.load_orders(seconds)
            self.count_queries()
        if self.quiet:
            self.stdout.write(json.dumps(self.figures))

    def say(self, line: str) -> None:
        """Write a line for people."""
        if not self.quiet:
            self.stdout.write(line)

    def keep(self, name: str, unit: str, value: float, goal: float | None = None) -> None:
        """Keep a figure for programs."""
        self.figures.append({"name": name, "unit": unit, "goal": goal, "values": [value]})

    def compare_lists(self, rounds: int) -> None:
        """Ask both tenants in turn over one connection, so that both meet the same machine."""
        self.say(f"{'':24}{'p50 at 100':>12}{'at 100,000':>12}{'ratio':>8}")
        opened = HTTPConnection(self.server, timeout=30)
        for name, path in LISTS.items():
            taken: dict[str, list[float]] = {SMALL: [], LARGE: []}
            for number in range(rounds):
                for tenant, times in taken.items():
                    times.append(get(path, tenant)(opened, number + 1))
            small, large = (statistics.median(times) * 1000 for times in taken.values())
            self.say(f"{name:24}{small:9.1f} ms{large:9.1f} ms{large / small:8.2f}")
            goal = GOAL if name.startswith("list") else None
            self.keep(f"{name}: p50 of 100,000 products over 100", "x", large / small, goal)
        self.say(f"goal: a list's ratio is {GOAL} at most\n\n")

    def load(self, name: str, seconds: float, ask: Ask) -> None:
        self.say(f"{name:24}{'connections':>12}{'req/s':>8}{'p50':>10}{'p99':>10}  errors")
        for count in CONNECTIONS:
            times, errors, elapsed = self._run(count, seconds, ask)
            times.sort()
            middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
            self.keep(f"{name}, {count} connections: answers", "/s", len(times) / elapsed)
            self.keep(f"{name}, {count} connections: p50", "ms", middle * 1000)
            self.keep(f"{name}, {count} connections: p99", "ms", late * 1000)
            self.keep(f"{name}, {count} connections: errors", "", errors, 0)
            self.say(
                f"{'':24}{count:12}{len(times) / elapsed:8.0f}{middle * 1000:7.0f} ms"
                f"{late * 1000:7.0f} ms  {errors}"
            )
        self.say("")

    def load_orders(self, seconds: float) -> None:
        """Use one buyer for each connection; filling the cart is not measured."""
        with schema_context(LARGE):
            products = list(Product.objects.order_by("pk").values_list("pk", flat=True)[:100])
            Product.objects.filter(pk__in=products).update(stock=1_000_000)
            users = User.objects.bulk_create(
                User(email=f"buyer{number}@example.com") for number in range(max(CONNECTIONS))
            )
            Cart.objects.bulk_create(Cart(user=user) for user in users)
            tokens = [str(AccessToken.for_user(user)) for user in users]

        def order(opened: HTTPConnection, number: int) -> float:
            buyer = number % len(tokens)
            headers = {
                "X-Tenant": LARGE,
                "Authorization": f"Bearer {tokens[buyer]}",
                "Content-Type": "application/json",
            }
            wanted = json.dumps({"product": products[buyer], "quantity": 1})
            timed(opened, "POST", "/api/cart/add/", wanted, headers)
            return timed(opened, "POST", "/api/orders/create/", "", headers)

        self.load("order", seconds, order)

    def _run(self, count: int, seconds: float, ask: Ask) -> tuple[list[float], int, float]:
        """Ask over so many connections at once; return latencies, failures and the time taken."""
        start = Barrier(count, timeout=30)

        def client(index: int) -> tuple[list[float], int]:
            opened, times, errors = HTTPConnection(self.server, timeout=30), [], 0
            start.wait()
            end, number = time.monotonic() + seconds, index
            while time.monotonic() < end:
                try:
                    times.append(ask(opened, number))
                except OSError:
                    errors += 1
                    opened.close()
                number += max(CONNECTIONS)
            return times, errors

        began = time.monotonic()
        with ThreadPoolExecutor(count) as pool:
            results = list(pool.map(client, range(count)))
        elapsed = time.monotonic() - began
        return (
            [latency for times, _errors in results for latency in times],
            sum(errors for _times, errors in results),
            elapsed,
        )

    def count_queries(self) -> None:
        with schema_context(LARGE):
            user = User.objects.get(email="customer@example.com")
            product = Product.objects.order_by("pk").first()
            CartItem.objects.filter(cart__user=user).delete()
            order = user.orders.first().pk
            ticket = user.tickets.first().pk
            token = AccessToken.for_user(user)
        client = Client(
            headers={"host": "web", "x-tenant": LARGE, "authorization": f"Bearer {token}"}
        )
        client.get("/")
        self.say("queries of a request")
        for method, path, body in (
            ("GET", "/api/products/?max_price=50", None),
            ("GET", f"/api/products/{product.pk}/", None),
            ("POST", "/api/cart/add/", {"product": product.pk}),
            ("GET", "/api/cart/", None),
            ("POST", "/api/orders/create/", {}),
            ("GET", "/api/orders/", None),
            ("GET", f"/api/orders/{order}/", None),
            ("GET", f"/api/orders/{order}/csv/", None),
            ("GET", "/api/tickets/", None),
            ("GET", f"/api/tickets/{ticket}/", None),
            ("GET", "/api/auth/profile/", None),
        ):
            with CaptureQueriesContext(connection) as queries:
                response = client.generic(
                    method, path, json.dumps(body) if body is not None else "", "application/json"
                )
                if response.streaming:
                    list(response.streaming_content)
            self.say(f"  {method:5}{path:32}{len(queries):4}  ({response.status_code})")
            # Which row it is differs from one run to the next.
            self.keep(f"{method} {re.sub(r'/[0-9]+/', '/ID/', path)}", "queries", len(queries))


@contextmanager
def tenants() -> Iterator[None]:
    try:
        for name, size in SIZES.items():
            create_tenant(name, name)
            with schema_context(name):
                seed(size)
                with connection.cursor() as cursor:
                    # As the database would by itself, a minute later.
                    cursor.execute("VACUUM ANALYZE products_product")
        connection.set_schema_to_public()
        yield
    finally:
        connection.set_schema_to_public()
        for name in SIZES:
            drop_tenant(name, export=False)


def get(path: str, tenant: str = LARGE) -> Ask:
    def ask(opened: HTTPConnection, number: int) -> float:
        return timed(opened, "GET", path.format(number=number + 100), "", {"X-Tenant": tenant})

    return ask


def timed(
    opened: HTTPConnection, method: str, path: str, body: str, headers: dict[str, str]
) -> float:
    """Return the seconds until the whole answer was there.

    Raises:
        OSError: when it is not a success.
    """
    started = time.perf_counter()
    opened.request(method, path, body, headers)
    response = opened.getresponse()
    content = response.read()
    if response.status >= 300:
        raise OSError(f"{method} {path}: {response.status} {content[:200]!r}")
    return time.perf_counter() - started
