"""Both tenants at once, through Gunicorn by WSGI and ASGI, and one worker, many times over."""

import http.client
import itertools
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection
from django_tenants.utils import schema_context

from tenants.tests.conftest import BACKEND, TIMEOUT, as_in_production
from tenants.tests.logins import POOL
from tenants.tests.tasks import breaks, look

# Over a pool, where a request meets the sessions of all others, as many as docs/tenants.md says.
REQUESTS = {"gunicorn": 10_000 if POOL else 3_000, "asgi": 2_000}
CLIENTS = {"gunicorn": 200 if POOL else 8, "asgi": 200}
TASKS = 2_000
PROCESSES = 4 if POOL else 2
THREADS = {"gunicorn": CLIENTS["gunicorn"] // PROCESSES, "asgi": 4}

pytestmark = pytest.mark.usefixtures("as_app", "one_account_each", "other_content_types")


@pytest.fixture(params=REQUESTS)
def server(request):
    return request.param


@pytest.fixture
def port(server, tmp_path):
    """Start a Gunicorn, with a thread for each client where it has them; yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    environment = as_in_production() | {
        "WEB_BIND": f"127.0.0.1:{number}",
        "WEB_CONCURRENCY": str(PROCESSES),
        "WEB_THREADS": str(THREADS[server]),
        "SERVER": server,
        "LOG_LEVEL": "ERROR",
    }
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            ["gunicorn", f"tenants.tests.faulty_{'asgi' if server == 'asgi' else 'wsgi'}"],
            cwd=BACKEND,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_it_listens(number)
        yield number
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def wait_until_it_listens(port):
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "Gunicorn does not listen"
            time.sleep(0.05)
        else:
            return


def is_right(tenant, path, body):
    """Tell whether an answer holds this tenant's row and no other's."""
    if path == "/here/":
        place = json.loads(body)
        return (place["role"], place["users"]) == (f"tenant_{tenant}", [tenant])
    if path == "/content-types/":
        return json.loads(body) == {"right": True}
    if path == "/finds-state/":
        return json.loads(body) == {"found": []}
    if path == "/asynchronous/":
        return json.loads(body)["users"] == [[tenant]] * 4 and "stray" not in json.loads(body)
    if path == "/waits/":
        return json.loads(body) == {"users": [tenant]}
    if path.startswith("/stream"):
        return body == f"{tenant}\n".encode() * 3
    return True  # breaks or strays on purpose; the next request must not notice


def hammer(server, port, client):
    """Ask as fast as answers come, over one connection; return the wrong answers."""
    wrong, right = [], 0
    to_web = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    paths = ["/here/", "/content-types/", "/finds-state/"] * 2 + ["/leaves-state/"]
    paths += ["/stream/", "/breaks/", "/enters-another-tenant/"]
    if server == "asgi":
        paths += ["/asynchronous/", "/stream-asynchronously/", "/waits/"] * 3
    paths = itertools.islice(itertools.cycle(paths), client, None)
    for path, turn in zip(paths, range(REQUESTS[server] // CLIENTS[server]), strict=False):
        tenant = f"test{(client + turn) % 2 + 1}"
        to_web.request("GET", path, headers={"Host": f"{tenant}.localhost"})
        body = to_web.getresponse().read()
        if is_right(tenant, path, body):
            right += 1
        else:
            wrong.append((tenant, path, body[:200]))
    to_web.close()
    return right, wrong


def connections_of_web():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = 'app' AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


def test_thousands_of_requests_do_not_mix(server, port):
    clients = CLIENTS[server]
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(hammer, [server] * clients, [port] * clients, range(clients)))
    assert [wrong for _, wrong in answers] == [[]] * clients
    assert sum(right for right, _ in answers) == REQUESTS[server]
    # Under ASGI as many again for the threads of asyncio.
    most = PROCESSES * THREADS[server] * (2 if server == "asgi" else 1)
    assert 0 < connections_of_web() <= most


@pytest.mark.parametrize("server", ["asgi"], indirect=True)
def test_a_client_that_leaves_gives_back_its_connection(server, port):
    """More of them than there are connections, while a view and a stream have one."""
    for number in range(5 * PROCESSES * THREADS[server]):
        path = (b"/waits/", b"/stream-asynchronously/", b"/here/")[number % 3]
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
            client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: test1.localhost\r\n\r\n")
    asked = list(range(PROCESSES * THREADS[server]))
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(partial(ask_once, port), asked))
    assert answers == [["test1"]] * len(asked)
    assert connections_of_web() <= PROCESSES * THREADS[server]


@pytest.mark.parametrize("server", ["asgi"], indirect=True)
def test_a_body_over_the_limit_is_answered_before_its_end(server, port, settings):
    head = b"POST /here/ HTTP/1.1\r\nHost: test1.localhost\r\nContent-Length: 99999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        client.sendall(head + b"x" * (settings.REQUEST_BODY_LIMIT + 1))
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def ask_once(port, _number):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    client.request("GET", "/here/", headers={"Host": "test1.localhost"})
    body = client.getresponse().read()
    client.close()
    return json.loads(body)["users"]


def test_two_thousand_tasks_do_not_mix(worker, queue):
    sent = []
    for number in range(TASKS):
        tenant = f"test{number % 2 + 1}"
        with schema_context(tenant):
            if number % 10 in (0, 1):
                breaks.apply_async(queue=queue, ignore_result=True)
            else:
                sent.append((tenant, look.apply_async(queue=queue)))
    wrong = [
        (tenant, answer)
        for tenant, result in sent
        if (answer := result.get(timeout=3 * TIMEOUT)) != [[f"tenant_{tenant}", tenant]]
    ]
    assert wrong == []
