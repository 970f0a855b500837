"""Customers who order continuously, and record accepted and failed requests with their times."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

PATIENCE = 20  # timeout of a request in seconds


class Failure(NamedTuple):
    """A failed request: when it began and ended, and its status or error."""

    began: float
    ended: float
    why: str


@dataclass
class Shoppers:
    """Concurrent customers, each with a product and a token, who call the proxy of a stack.

    Each fills a cart and orders it, and retries with the same idempotency key until the order is
    accepted, like a good client.
    """

    port: int
    host: str
    buyers: list[tuple[int, str]]
    accepted: dict[str, str] = field(default_factory=dict)  # order numbers, by idempotency key
    orders: Counter[int] = field(default_factory=Counter)  # accepted, by the customer's product
    failures: list[Failure] = field(default_factory=list)
    answered: int = 0
    slowest: float = 0  # seconds

    def __enter__(self) -> Shoppers:
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.orders.update({product: 0 for product, _token in self.buyers})
        self._threads = [threading.Thread(target=self._shop, args=one) for one in self.buyers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def failed_since(self, moment: float) -> list[Failure]:
        """Return the requests that failed and had not ended at this monotonic time."""
        with self._lock:
            return [one for one in self.failures if one.ended >= moment]

    def why(self, failures: list[Failure]) -> dict[str, int]:
        return dict(Counter(one.why for one in failures))

    def _shop(self, product: int, token: str) -> None:
        client = _Client(self, product, token)
        with closing(client.connection):
            while not self._end.is_set():
                key = uuid4().hex
                while not self._end.is_set():
                    if client.add() and (number := client.order(key)):
                        with self._lock:
                            self.accepted[key] = number
                            self.orders[product] += 1
                        break

    def note(self, began: float, why: str) -> None:
        """Record the end of a request: `why` it failed, empty if it succeeded."""
        ended = time.monotonic()
        with self._lock:
            self.slowest = max(self.slowest, ended - began)
            self.answered += 1
            if why:
                self.failures.append(Failure(began, ended, why))


class _Client:
    """A customer's connection, kept as long as possible."""

    def __init__(self, shoppers: Shoppers, product: int, token: str) -> None:
        self.shoppers = shoppers
        self.product = product
        self.headers = {
            "Host": f"{shoppers.host}:{shoppers.port}",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        self.connection = http.client.HTTPSConnection(
            "127.0.0.1",
            shoppers.port,
            timeout=PATIENCE,
            context=ssl._create_unverified_context(),
        )

    def add(self) -> bool:
        wanted = {"product": self.product, "quantity": 1}
        return self._ask("/api/v1/cart/add/", wanted) is not None

    def order(self, key: str) -> str:
        """Return the order's number; empty if it was not accepted, as far as is known."""
        made = self._ask("/api/v1/orders/create/", {}, **{"Idempotency-Key": key})
        return made["number"] if made else ""

    def _ask(self, path: str, body: dict, **headers: str) -> dict | None:
        began = time.monotonic()
        try:
            self.connection.request("POST", path, json.dumps(body), {**self.headers, **headers})
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.shoppers.note(began, type(error).__name__)
            time.sleep(0.1)  # do not flood the server after a refusal
            return None
        # A cart at its limit counts as added to.
        full = path.endswith("/add/") and answer.status == 409
        if answer.status in (200, 201) or full:
            self.shoppers.note(began, "")
            return json.loads(content)
        self.shoppers.note(began, str(answer.status))
        time.sleep(0.1)
        return None
