"""A copy of the stack that grows, and what the same work costs in it at each size."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, Callable, NamedTuple

from devtools import ports
from devtools.checkout import Checkout
from devtools.database import query
from devtools.engines.embedded import EmbeddedEngine
from devtools.errors import DevError
from devtools.services import WEB, WORKER
from devtools.terminal import Terminal

from .copy import Copy
from .measure import Measure

CLIENTS = 6  # at once
HEALTH = "/api/v1/health/"
HEALTH_CHECKS = 60
# What a backend remembers of tables, after a look at each of them.
_SEE_ALL = """
DO $$ DECLARE it record; BEGIN
    FOR it IN SELECT * FROM pg_tables JOIN tenant_config ON schemaname = schema_name
    LOOP
        EXECUTE format('SELECT FROM %I.%I LIMIT 0', it.schemaname, it.tablename);
        COMMIT;  -- its locks
    END LOOP;
END $$
"""
_MEMORY = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts"
_SIZES = """
SELECT json_build_object(
    'relations', (SELECT count(*) FROM pg_class),
    'files', (SELECT count(*) FROM pg_ls_dir('base/' || oid)),
    'size', pg_database_size(oid))
FROM pg_database WHERE datname = current_database()
"""
_FIRST = "SELECT min(schema_name) FROM tenant_config"
_DUMP = """exec pg_dump --schema="$1" --exclude-table-data="$1".'products_*' \\
    --exclude-table-data="$1".'orders_*' --exclude-table-data="$1".'cart_*' \\
    --exclude-table-data="$1".'users_*' --inserts --rows-per-insert=1000 --no-owner \\
    --no-privileges --no-comments"""
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
# An index on one table and a column in another, of no use to anything.
_MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("users", "{before}")]
    operations = [
        migrations.AddField("user", "grown_{number}", models.CharField(max_length=9, null=True)),
        migrations.AddIndex("user", models.Index(fields=["grown_{number}"], name="grown_{number}")),
    ]
"""


class Buyer(NamedTuple):
    """Who may order in a tenant: a product, and the token of a log-in for each client."""

    tenant: str
    product: int
    tokens: Sequence[str]


class Cost(NamedTuple):
    """Seconds by the clock, and of processor time of all that worked for it."""

    clock: float
    processor: float


class Grown:
    """The stack of `copy`, and the figures that were found, by name and unit."""

    def __init__(self, copy: Copy, terminal: Terminal, rounds: int) -> None:
        self.copy = copy
        self.rounds = rounds
        self.terminal = terminal
        self.engine = EmbeddedEngine(copy.checkout, terminal)
        self.found: dict[tuple[str, str], list[float]] = {}
        self._numbers = count(1)
        self._migrations = sorted((copy.checkout.root / "backend/users/migrations").glob("0*.py"))

    def measures(self) -> list[Measure]:
        """The figures, in the order in which they were first found."""
        return [Measure(name, unit, None, values) for (name, unit), values in self.found.items()]

    def keep(self, name: str, unit: str, value: float) -> None:
        """Keep a figure, and print it: a whole run takes long."""
        self.terminal.say(f"  {'  '.join(Measure(name, unit, None, [value]).row()[:2])}")
        self.found.setdefault((name, unit), []).append(value)

    # --- what it uses ---------------------------------------------------------------------

    def services(self) -> dict[str, dict[str, float]]:
        """What each service has used so far. Raises DevError where the system does not tell."""
        done = self.copy.ask_of_supervisor("services.py")
        return dict(json.loads(done.must("what the services use is not known here").output))

    def processor(self) -> float:
        """Seconds of processor time of web, worker, database and Redis."""
        return sum(one["processor"] for one in self.services().values())

    def cost(self, work: Callable[[], object]) -> Cost:
        """What `work` costs, in this process's children and in the stack, which stays up."""
        before = self.processor()
        clock, children = time.monotonic(), _children()
        work()
        took = Cost(time.monotonic() - clock, _children() - children)
        return Cost(took.clock, took.processor + self.processor() - before)

    # --- filling --------------------------------------------------------------------------

    def fill(self, tenants: int, rows: int) -> list[Buyer]:
        """Have so many tenants, each with so many products and orders; one buyer of each."""
        lines = self._grow(tenants, rows=rows, buyers=CLIENTS).splitlines()
        return [Buyer(*one) for one in json.loads(lines[-1])]

    def copy_tenants(self, tenants: int) -> None:
        """Have so many tenants by copies of the first one's schema."""
        (like,) = query(self.engine, _FIRST)
        dumped = self.engine.in_database(_DUMP, like).must("a tenant was not dumped").output
        with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as file:
            file.write(dumped)
            file.flush()
            self._grow(tenants, "--like", like, file.name)

    def make_tenants(self, tenants: int, size: str) -> None:
        """Have so many tenants as a user makes them; keep what one of them costs."""
        (there,) = query(self.engine, "SELECT count(*) FROM tenant_config")
        start = self.cost(lambda: self._grow(int(there)))
        took = self.cost(lambda: self._grow(tenants))
        made = tenants - int(there)
        self.keep(f"making one tenant, {size}", "s", (took.processor - start.processor) / made)

    def _grow(self, tenants: int, *more: str, rows: int = 0, buyers: int = 0) -> str:
        options = {"tenants": tenants, "rows": rows, "buyers": buyers}
        words = [word for name, number in options.items() for word in (f"--{name}", str(number))]
        return self.copy.dev("manage", "bench_growth", *words, *more, timeout=7200)

    # --- all of it ------------------------------------------------------------------------

    def measure(self, size: str, buyers: Sequence[Buyer], requests: int) -> None:
        """Measure commands, so many requests of each kind, and sizes."""
        with self.terminal.step(f"commands, {size}"):
            self.commands(size)
        with self.terminal.step(f"requests, {size}"):
            for _ in range(self.rounds):
                self.requests(buyers, size, requests)
            self.sizes(size)

    # --- commands -------------------------------------------------------------------------

    def commands(self, size: str) -> None:
        """Measure status, start, releases and snapshots."""
        for _ in range(self.rounds):
            took = self.cost(lambda: self.copy.dev("status"))
            self.keep(f"status, {size}", "s", took.processor)
            took = self.cost(lambda: self.copy.dev("migrate"))
            self.keep(f"release with nothing to do, {size}", "s", took.processor)
        self._add_migration()
        took = self.cost(lambda: self.copy.dev("migrate", timeout=7200))
        self.keep(f"release with a migration, {size}", "s", took.processor)
        self.keep(f"release with a migration, {size}, by the clock", "s", took.clock)
        self._snapshot(size)
        self._start(size)

    def _snapshot(self, size: str) -> None:
        took = self.cost(lambda: self.copy.dev("snapshot", "save", "grown", timeout=3600))
        self.keep(f"snapshot, {size}", "s", took.processor)
        self.keep(f"snapshot, {size}, by the clock", "s", took.clock)
        self.copy.dev("snapshot", "delete", "grown", "--yes")

    def _start(self, size: str) -> None:
        """Stop and start it; web's connections are new afterwards."""
        self.copy.dev("down")
        clock, children = time.monotonic(), _children()
        self.copy.dev("up")
        took = Cost(time.monotonic() - clock, _children() - children)
        self.keep(f"start, {size}", "s", took.processor + self.processor())
        self.keep(f"start, {size}, by the clock", "s", took.clock)

    def _add_migration(self) -> None:
        before, number = self._migrations[-1], len(self._migrations) + 1
        path = before.with_name(f"{number:04}_grown.py")
        path.write_text(_MIGRATION.format(before=before.stem, number=number))
        self._migrations.append(path)

    # --- requests -------------------------------------------------------------------------

    def requests(self, buyers: Sequence[Buyer], size: str, number: int) -> None:
        """Measure `number` requests of each kind, to so many tenants in turn."""
        asked = buyers[:: max(1, len(buyers) // number)]
        turns = [asked[index % len(asked)] for index in range(number)]
        kinds: Mapping[str, Callable[[Client, Buyer], None]] = {
            "list": lambda client, buyer: client.get(
                f"/api/products/?max_price={next(self._numbers) + 100}", buyer
            ),
            "search": lambda client, buyer: client.get(
                f"/api/products/?search=oak+-word{next(self._numbers)}", buyer
            ),
            "order": lambda client, buyer: client.order(buyer),
        }
        health = self._each(lambda client, _: client.get(HEALTH), turns[:HEALTH_CHECKS])
        self.keep(f"health, {size}", "ms", health)
        for name, ask in kinds.items():
            self._each(ask, turns)  # each tenant's tables are known then
            self.keep(f"{name}, {size}", "ms", self._each(ask, turns))

    def _each(self, ask: Callable[[Client, Buyer], None], turns: Sequence[Buyer]) -> float:
        """Milliseconds of processor time of web and database for each."""
        before = self._serving()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda number: self._ask_all(ask, turns, number), range(CLIENTS)))
        return (self._serving() - before) / len(turns) * 1000

    def _ask_all(
        self, ask: Callable[[Client, Buyer], None], turns: Sequence[Buyer], number: int
    ) -> None:
        with contextlib.closing(Client(self.copy.port, number)) as client:
            for buyer in turns[number::CLIENTS]:
                ask(client, buyer)

    def _serving(self) -> float:
        used = self.services()
        return used[WEB]["processor"] + used["db"]["processor"]

    # --- memory and sizes -----------------------------------------------------------------

    def sizes(self, size: str) -> None:
        """Measure memory after the requests, and what the database holds."""
        used = self.services()
        for name in (WEB, WORKER, "db"):
            self.keep(f"memory of {name}, {size}", "MB", used[name]["memory"] / 1e6)
        (connections,) = query(self.engine, _CONNECTIONS)
        self.keep(f"connections of web and worker, {size}", "", int(connections))
        (seen,) = query(self.engine, _SEE_ALL, _MEMORY, timeout=600)
        self.keep(f"connection that saw all tables, {size}", "MB", int(seen) / 1e6)
        found: dict[str, Any] = json.loads(query(self.engine, _SIZES)[0])
        self.keep(f"relations, {size}", "", found["relations"])
        self.keep(f"files, {size}", "", found["files"])
        self.keep(f"database, {size}", "MB", found["size"] / 1e6)


class Client:
    """A client of web; each request is to the tenant of a buyer."""

    def __init__(self, port: int, number: int) -> None:
        self._number = number
        self._connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, buyer: Buyer | None = None) -> None:
        self._ask("GET", path, buyer)

    def order(self, buyer: Buyer) -> None:
        """Put the product into the cart, and order it."""
        wanted = json.dumps({"product": buyer.product, "quantity": 1})
        self._ask("POST", "/api/cart/add/", buyer, wanted)
        self._ask("POST", "/api/orders/create/", buyer)

    def _ask(self, method: str, path: str, buyer: Buyer | None, body: str = "") -> None:
        headers = {"Host": "localhost", "Content-Type": "application/json"}
        if buyer:
            headers.update(
                {"X-Tenant": buyer.tenant, "Authorization": f"Bearer {buyer.tokens[self._number]}"}
            )
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise DevError(f"{method} {path} was answered with {answer.status}: {content[:200]!r}")


@contextlib.contextmanager
def grown(checkout: Checkout, terminal: Terminal, rounds: int) -> Iterator[Grown]:
    """A separate stack, which is removed afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Copy(checkout, Path(directory), {})
        copy.share(checkout, terminal)
        with copy.up():
            yield Grown(copy, terminal, rounds)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
