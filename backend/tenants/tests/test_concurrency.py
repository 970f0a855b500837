"""Both tenants at once, through one Gunicorn and one worker, many times over."""

import http.client
import itertools
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django_tenants.utils import schema_context

from tenants.tests.conftest import BACKEND, TIMEOUT, as_in_production
from tenants.tests.logins import POOL
from tenants.tests.tasks import breaks, look

REQUESTS = 10_000
TASKS = 2_000
CLIENTS = 200 if POOL else 8
PROCESSES = 4 if POOL else 2

pytestmark = pytest.mark.usefixtures("as_app", "one_account_each", "other_content_types")


@pytest.fixture
def port(tmp_path):
    """Start a Gunicorn with a thread for each client; yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    environment = as_in_production() | {
        "WEB_BIND": f"127.0.0.1:{number}",
        "WEB_CONCURRENCY": str(PROCESSES),
        "WEB_THREADS": str(CLIENTS // PROCESSES),
        "LOG_LEVEL": "ERROR",
    }
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            ["gunicorn", "tenants.tests.faulty_wsgi"],
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
    if path == "/stream/":
        return body == f"{tenant}\n".encode() * 3
    return True  # breaks or strays on purpose; the next request must not notice


def hammer(port, client):
    """Ask as fast as answers come, over one connection; return the wrong answers."""
    wrong, right = [], 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    paths = ["/here/", "/content-types/", "/finds-state/"] * 2 + ["/leaves-state/"]
    paths += ["/stream/", "/breaks/", "/enters-another-tenant/"]
    turns = zip(itertools.cycle(paths), range(REQUESTS // CLIENTS), strict=False)
    for path, turn in turns:
        tenant = f"test{(client + turn) % 2 + 1}"
        connection.request("GET", path, headers={"Host": f"{tenant}.localhost"})
        body = connection.getresponse().read()
        if is_right(tenant, path, body):
            right += 1
        else:
            wrong.append((tenant, path, body[:200]))
    connection.close()
    return right, wrong


def test_ten_thousand_requests_do_not_mix(port):
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(hammer, [port] * CLIENTS, range(CLIENTS)))
    assert [wrong for _, wrong in answers] == [[]] * CLIENTS
    assert sum(right for right, _ in answers) == REQUESTS


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
