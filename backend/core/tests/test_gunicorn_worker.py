"""Clients that are slow, silent or kept: a real Gunicorn, with each worker that production runs."""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from django.db import connection

from core.asgi_worker import Threads

THREADS = 2
SERVERS = {"gunicorn": "slow_application", "asgi": "slow_application:asynchronous"}
BACKEND = Path(__file__).resolve().parents[2]
APPLICATION = """
import asyncio
import atexit
import gc
import logging
import os
import signal
import time
from pathlib import Path

import core.asgi_worker
import core.gunicorn_worker as worker
worker.BUSY_CLIENT_TIMEOUT, worker.CLIENT_TIMEOUT = 1, {timeout}
core.asgi_worker.FIRST_BYTES = min(10, {timeout})

def stop_in_the_fork():
    # End the server, and go on once it has told this process to end.
    early = Path("{over}").with_name("early")
    if early.exists():
        signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
        os.kill(os.getppid(), signal.SIGTERM)
        signal.sigwait({{signal.SIGTERM}})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGTERM}})
        os.kill(os.getpid(), signal.SIGTERM)
        early.unlink()

os.register_at_fork(after_in_child=stop_in_the_fork)

def begin(path, query):
    if query == "wait":
        with Path("{over}").with_name("begun").open("a") as begun:
            begun.write("x")
    if path == "/last/":
        atexit.register(Path("{over}").touch)
        logging.info("the last line")

def must_wait(query):
    return query == "wait" and not Path("{over}").exists()

def answer_to(path, query, received):
    if path == "/frozen/":
        received = gc.get_freeze_count()
    return b"x" * (int(query) if query.isdigit() else 0) or b"%d" % received

def application(environ, start_response):
    query = environ["QUERY_STRING"]
    begin(environ["PATH_INFO"], query)
    while must_wait(query):
        time.sleep(0.05)
    answer = answer_to(environ["PATH_INFO"], query, len(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]

async def asynchronous(scope, receive, send):
    query, received, more = scope["query_string"].decode(), 0, True
    begin(scope["path"], query)
    while must_wait(query):
        await asyncio.sleep(0.05)
    while more:
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
    answer = answer_to(scope["path"], query, received)
    headers = [(b"content-length", b"%d" % len(answer))]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": answer}})
"""


def over(directory: Path) -> Path:
    """Return the file that lets `/?wait` answer."""
    return directory / "over"


@contextmanager
def gunicorn(directory: Path, server: str, *, timeout: int = 60, keep_alive: int = 75):
    """Serve APPLICATION with one process of THREADS threads; yield the ports of web and probes."""
    code = APPLICATION.format(timeout=timeout, over=over(directory))
    (directory / "slow_application.py").write_text(code)
    with socket.socket() as web, socket.socket() as probed:
        for listener in (web, probed):
            listener.bind(("127.0.0.1", 0))
            listener.listen(512)
            listener.set_inheritable(True)
        ports = [listener.getsockname()[1] for listener in (web, probed)]
        environment = {
            **os.environ,
            "PYTHONPATH": f"{directory}{os.pathsep}{BACKEND}",
            "GUNICORN_CMD_ARGS": f"--bind fd://{web.fileno()} --bind fd://{probed.fileno()}",
            "WEB_PROBE_BIND": f"127.0.0.1:{ports[1]}",
            "WEB_KEEP_ALIVE": str(keep_alive),
            "WEB_CONCURRENCY": "1",
            "WEB_THREADS": str(THREADS),
            "SERVER": server,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", SERVERS[server]],
            cwd=BACKEND, env=environment, pass_fds=[web.fileno(), probed.fileno()],
        )  # fmt: skip
        try:
            yield ports
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(params=SERVERS)
def server(request):
    return request.param


def test_a_worker_ends_without_finalisation_and_loses_no_line(tmp_path, server, capfd):
    with gunicorn(tmp_path, server) as (port, _probed):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        client.request("GET", "/last/")
        assert client.getresponse().read() == b"0"
        client.close()
    said = capfd.readouterr()
    assert "the last line" in said.out
    assert "exited with code" not in said.out + said.err
    assert not over(tmp_path).exists()


def test_a_stop_answers_what_was_asked(tmp_path, server):
    """Requests that have begun, and one on a connection that was kept."""
    with ExitStack() as running:
        server_runs = running.enter_context(ExitStack())
        port, _probed = server_runs.enter_context(gunicorn(tmp_path, server))
        asked = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(3)]
        for one in asked:
            running.callback(one.close)
        kept, *waiting = asked
        kept.request("GET", "/")
        kept.getresponse().read()
        for one in waiting:
            one.request("GET", "/?wait")
        begun = over(tmp_path).with_name("begun")
        while not begun.exists() or len(begun.read_text()) < len(waiting):
            time.sleep(0.05)
        stopping = threading.Thread(target=server_runs.close)
        stopping.start()
        kept.request("GET", "/")
        over(tmp_path).touch()
        assert [one.getresponse().read() for one in asked] == [b"0"] * 3
        stopping.join()


def test_a_stop_ends_a_process_that_is_being_forked(tmp_path, server):
    early = over(tmp_path).with_name("early")
    early.touch()
    with socket.socket() as client:
        with gunicorn(tmp_path, server) as (port, _probed):
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while early.exists():
                time.sleep(0.05)
        with pytest.raises(ConnectionResetError):  # no process took it
            client.recv(1)


@pytest.mark.django_db
def test_a_thread_of_asyncio_keeps_no_connection():
    with Threads(1) as threads:
        made = threads.submit(lambda: connection.ensure_connection() or connection.connection)
        assert made.result().closed
        assert threads.submit(lambda: connection.connection).result() is None


@pytest.fixture(scope="module", params=SERVERS)
def port(tmp_path_factory, request):
    with gunicorn(tmp_path_factory.mktemp("slow"), request.param) as (port, _probed):
        yield port


def test_a_worker_does_not_collect_what_it_shares_with_the_others(port):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", "/frozen/")
    assert int(client.getresponse().read()) > 10_000
    client.close()


def ask(port: int) -> int:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.request("GET", "/")
        return client.getresponse().status
    finally:
        client.close()


@contextmanager
def clients(port: int, request: bytes, drip: bytes = b""):
    """As many clients as there are threads, and two more, that send `request`, then `drip`."""
    over = threading.Event()
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(THREADS + 2)]

    def send_on() -> None:
        while not over.wait(0.2):
            for one in opened:
                with suppress(OSError):
                    one.sendall(drip)

    for one in opened:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(request)
    sender = threading.Thread(target=send_on)
    sender.start()
    try:
        yield opened
    finally:
        over.set()
        sender.join()
        for one in opened:
            one.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", 400),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nLong: " + b"x" * 9000 + b"\r\n\r\n", 431),
    ],
)
def test_a_request_that_cannot_be_parsed_is_answered_with_a_problem_document(port, sent, status):
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(sent)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = json.load(answer)
    assert answer.status == problem["status"] == status
    assert problem["detail"]


@pytest.mark.parametrize(
    ("request_", "drip"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", b" "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"GET /?50000000 HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    ],
    ids=["silent", "head", "body", "chunks", "reader"],
)
def test_slow_clients_do_not_keep_the_threads_from_the_others(port, request_, drip):
    with clients(port, request_, drip):
        assert [ask(port) for _ in range(3)] == [200] * 3


def test_a_slow_client_is_served_while_a_thread_is_free(port):
    """It may be far away; only when it costs the others their threads is it dropped."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n")
        for _ in range(15):
            time.sleep(0.1)  # the slowness itself
            client.sendall(b" ")
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_probe_is_answered_while_requests_wait_for_a_thread(tmp_path, server):
    """As the proxy and the container's health check ask a web that has more to do than it can."""
    request = b"GET /?wait HTTP/1.1\r\nHost: x\r\n\r\n"
    with gunicorn(tmp_path, server) as (port, probed), clients(port, request) as opened:
        try:
            with socket.create_connection(("127.0.0.1", probed)):  # a probe that sends nothing
                assert [ask(probed) for _ in range(3)] == [200] * 3
            opened[0].settimeout(0)
            with pytest.raises(BlockingIOError):
                opened[0].recv(1)
        finally:
            over(tmp_path).touch()


def test_no_client_may_take_for_ever(tmp_path, server):
    with gunicorn(tmp_path, server, timeout=1) as (port, _), clients(port, b"POST", b" ") as opened:
        opened[0].settimeout(60)
        assert opened[0].recv(100) == b""


def test_a_kept_connection_outlives_the_pauses_of_whoever_keeps_it_for_less(tmp_path, server):
    """As a balancer that keeps its connections shorter than WEB_KEEP_ALIVE says."""
    answers: Counter = Counter()
    with gunicorn(tmp_path, server, keep_alive=30) as (port, _probed):

        def send(seed: int) -> None:
            pauses = random.Random(seed)
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for pause in (0, pauses.uniform(4.5, 6.5)):
                time.sleep(pause)  # what is tested
                try:
                    client.request("POST", "/", body=b"x")
                    answers[client.getresponse().read()] += 1
                except OSError as error:
                    answers[type(error).__name__] += 1
            client.close()

        senders = [threading.Thread(target=send, args=(seed,)) for seed in range(100)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert answers == {b"1": 200}
