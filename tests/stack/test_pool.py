"""Web and worker behind PgBouncer in transaction mode, as docs/production.md says to put them."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest
from running_stack import Stack, eventually, free_ports
from tenant_work import PROFILE, bearer

TENANTS = ("test1", "test2")
CONNECTIONS = 10  # default_pool_size of pool/pgbouncer.ini
CLIENTS, PROCESSES = 200, 4
TASKS = 400
CONFIGURATION = "pool/pgbouncer.ini"
# With 10,000 requests of as many clients, and 2,000 tasks.
SUITES = ("attacks", "transactions", "tasks", "concurrency")

BEHIND = "from django.db import connection as c; c.cursor().execute('SELECT 1'); print(c.is_pooled)"
SEND = f"""
import json
from core.celery import echo
from django_tenants.utils import schema_context
sent = []
for number in range({TASKS}):
    with schema_context(tenant := f"test{{number % 2 + 1}}"):
        sent.append((tenant, echo.delay("hello").id))
print(json.dumps(sent))
"""
RECEIVE = """
from core.celery import app
found = [(tenant, app.AsyncResult(id).get(timeout=120)["tenant"]) for tenant, id in {sent}]
print(sum(asked == answered for asked, answered in found))
"""


@pytest.fixture(scope="module")
def pooled(stack: Stack) -> Iterator[Stack]:
    """The stack with a thread of web for each client, and the pool between it and the database."""
    variables = {
        "COMPOSE_PROFILES": "pool",
        "DATABASE_SERVER": "pool:6432",
        "WEB_CONCURRENCY": str(PROCESSES),
        "WEB_THREADS": str(CLIENTS // PROCESSES),
        **free_ports("POOL_PORT"),
    }
    dotenv = stack.checkout / ".env"
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    try:
        stack.dev("up", timeout=600)
        yield stack
    finally:
        stack.compose("rm", "--stop", "--force", "pool")
        dotenv.unlink()
        stack.dev("up", timeout=600)


@pytest.fixture
def mode(pooled: Stack) -> Iterator[Callable[[str], None]]:
    """Start the pool in another mode."""
    file = pooled.checkout / CONFIGURATION
    before = file.read_text()

    def start() -> None:
        pooled.compose("up", "--detach", "--wait", "--build", "--no-deps", "pool", timeout=600)

    def start_in(mode: str) -> None:
        file.write_text(before.replace("pool_mode = transaction", f"pool_mode = {mode}"))
        start()

    yield start_in
    file.write_text(before)
    start()


class Clients:
    """Clients that ask both tenants in turn, each over one connection."""

    def __init__(self, stack: Stack) -> None:
        self._port = stack.port("web")
        self._tokens = {tenant: bearer(stack, tenant) for tenant in TENANTS}

    def ask(self, clients: int, requests: int) -> Counter[str]:
        """Ask as fast as answers come; count the answers: right, unavailable, or what else."""
        with ThreadPoolExecutor(clients) as threads:
            found = threads.map(self._ask_one, range(clients), [requests // clients] * clients)
            return sum(found, Counter())

    def _ask_one(self, client: int, requests: int) -> Counter[str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        kinds = cycle([self._renamed, self._own, self._of_the_other])
        found: Counter[str] = Counter()
        for turn, kind in zip(range(requests), kinds, strict=False):
            tenant, other = TENANTS if (client + turn // 3) % 2 else reversed(TENANTS)
            found[kind(connection, tenant, other)] += 1
        connection.close()
        return found

    def _renamed(self, connection: http.client.HTTPConnection, tenant: str, other: str) -> str:
        named = json.dumps({"first_name": tenant})
        headers = self._tokens[tenant] | {"Content-Type": "application/json"}
        status, text = _ask(connection, "PATCH", PROFILE, tenant, headers, named)
        return _judged(status, 200, f'"first_name":"{tenant}"' in text)

    def _own(self, connection: http.client.HTTPConnection, tenant: str, other: str) -> str:
        status, text = _ask(connection, "GET", PROFILE, tenant, self._tokens[tenant])
        # Empty until the first has renamed it.
        return _judged(status, 200, f'"first_name":"{other}"' not in text)

    def _of_the_other(self, connection: http.client.HTTPConnection, tenant: str, other: str) -> str:
        status, _text = _ask(connection, "GET", PROFILE, tenant, self._tokens[other])
        return _judged(status, 401, True)


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    tenant: str,
    headers: dict[str, str],
    body: str | None = None,
) -> tuple[int, str]:
    connection.request(method, path, body, {"Host": f"{tenant}.localhost", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def _judged(status: int, wanted: int, right: bool) -> str:
    if status != wanted:
        return "unavailable" if status == 503 else str(status)
    return "right" if right else "of the other tenant"


@pytest.fixture(scope="module")
def clients(pooled: Stack) -> Clients:
    return Clients(pooled)


def connections(stack: Stack) -> tuple[int, int]:
    """Return how many connections the pool has with clients, and the database with the pool."""
    # Of TCP, established: 1920 is 6432 in hexadecimal digits.
    count = "grep -cE '^ *[0-9]+: [0-9A-F]+:1920 [0-9A-F]+:[0-9A-F]+ 01' /proc/net/tcp"
    of_clients = int(stack.compose("exec", "-T", "pool", "sh", "-c", count, check=False).stdout)
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE usename = 'app' AND datname = 'homeport'
    """
    return of_clients, int(stack.sql(query))


def test_web_and_worker_are_healthy_behind_the_pool(pooled):
    assert pooled.healthy()
    assert {pooled.python(BEHIND, service) for service in ("web", "worker")} == {"True"}


def test_many_clients_share_few_connections_and_nothing_crosses(pooled, clients):
    # Before, in steps: two hundred log-ins at once may take longer than a connection waits for.
    for number in range(20, CLIENTS + 1, 20):
        assert set(clients.ask(number, 2 * number)) <= {"right", "unavailable"}
    assert clients.ask(CLIENTS, 5 * CLIENTS) == {"right": 5 * CLIENTS}
    of_clients, of_database = connections(pooled)
    assert of_clients > 5 * CONNECTIONS
    assert of_database <= CONNECTIONS


def send(stack: Stack) -> str:
    """Send tasks in both tenants; return tenants and ids."""
    return stack.python(SEND).splitlines()[-1]


def received(stack: Stack, sent: str) -> int:
    """Wait for the tasks; return how many ran in the tenant that sent them."""
    return int(stack.python(RECEIVE.format(sent=sent)).splitlines()[-1])


def test_tasks_run_in_their_tenants(pooled):
    assert received(pooled, send(pooled)) == TASKS


def test_only_the_application_logs_in_through_the_pool(pooled):
    ended = pooled.compose(
        *("exec", "-T", "--env", "PGPASSWORD=app_owner", "db", "psql", "--command=SELECT 1"),
        "postgres://app_owner@pool:6432/homeport",
        check=False,
    )
    assert "authentication failed" in ended.stderr


def test_without_the_pool_requests_are_unavailable_and_tasks_wait(pooled, clients):
    pooled.compose("stop", "worker")
    sent = send(pooled)
    pooled.compose("stop", "pool")
    pooled.compose("start", "worker")
    assert clients.ask(8, 32) == {"unavailable": 32}
    pooled.compose("start", "pool")
    eventually(lambda: clients.ask(8, 32) == {"right": 32})
    assert received(pooled, sent) == TASKS


def test_a_pool_that_is_killed_under_load_harms_nothing(pooled, clients):
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(clients.ask, 40, 1_000)
        pooled.compose("kill", "pool")
        pooled.compose("start", "pool")
        found = asked.result()
    assert set(found) <= {"right", "unavailable"}
    eventually(lambda: clients.ask(8, 32) == {"right": 32})


@pytest.mark.long
def test_a_pool_in_session_mode_serves_few_clients_and_mixes_nothing(pooled, clients, mode):
    mode("session")
    assert pooled.python(BEHIND) == "True"
    pooled.compose("restart", "web", "worker")
    eventually(pooled.healthy)
    # Each thread keeps a connection of the database; who gets none waits for ten seconds.
    found = clients.ask(40, 80)
    assert set(found) == {"right", "unavailable"}


@pytest.mark.long
def test_the_suites_of_attacks_pass_through_the_pool(pooled):
    # The database of the tests stays: the pool is connected to it.
    ended = pooled.compose(
        *("run", "--rm", "--env", "TEST_DATABASE_POOL=tcp://pool:6432", "test", "-q"),
        *("--reuse-db", *(f"tenants/tests/test_{suite}.py" for suite in SUITES)),
        timeout=1200,
    )
    assert " passed" in ended.stdout
