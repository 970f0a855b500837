"""The errors that the proxy itself sends, from its real image without the rest of the stack."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest
from running_stack import CHECKOUT, Stack, eventually, free_ports

from devtools.checkout import Checkout
from devtools.production.certificate import make_certificate

HOST = "Host: shop.localhost\r\n"


@dataclass
class Proxy:
    """A running proxy; `docker` runs the command of that name."""

    docker: Stack
    name: str
    port: int

    @contextlib.contextmanager
    def sent(self, text: str) -> Iterator[ssl.SSLSocket]:
        """Send `text` on a new connection."""
        context = ssl._create_unverified_context()
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        with plain, context.wrap_socket(plain, server_hostname="shop.localhost") as connection:
            connection.sendall(text.encode())
            yield connection

    def answer(self, text: str) -> tuple[int, str, bytes]:
        """Return status, headers and body of the answer to `text`."""
        with self.sent(text) as connection:
            return received(connection)

    @contextlib.contextmanager
    def web(self, *command: str) -> Iterator[None]:
        """Run `command` in a container that the proxy finds as a web."""
        given = ("--detach", "--network", self.name, "--network-alias", "web")
        web = self.docker.run("docker", "run", *given, "python:3.13-slim", *command).stdout.strip()
        try:
            yield
        finally:
            self.docker.run("docker", "rm", "--force", web)


def program(name: str) -> tuple[str, str, str]:
    """Return the command that runs a program of this folder."""
    return ("python", "-c", Path(__file__).with_name(name).read_text())


def received(connection: ssl.SSLSocket) -> tuple[int, str, bytes]:
    """Return status, headers in lower case and body of an answer of declared length."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(4096)
    head, _, body = text.partition(b"\r\n\r\n")
    status, _, headers = head.decode().lower().partition("\r\n")
    return int(status.split()[1]), headers, body or connection.recv(4096)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("proxy")
    directory.chmod(0o755)
    ports = free_ports("PORT")
    name = f"homeport-proxy-{os.getpid()}"
    docker = Stack(CHECKOUT, name, ports)
    certificate = make_certificate(Checkout(CHECKOUT), directory)
    docker.run("docker", "build", "--quiet", "--tag", name, "proxy", timeout=600)
    docker.run("docker", "network", "create", name)
    try:
        docker.run(
            *("docker", "run", "--detach", "--name", name, "--network", name),
            *("--env", "PROXY_KEEP_ALIVE=10", "--volume", f"{certificate}:/run/certificate.pem:ro"),
            *("--publish", f"127.0.0.1:{ports['PORT']}:8443", name),
        )
        proxy = Proxy(docker, name, int(ports["PORT"]))
        eventually(lambda: proxy.answer(f"GET / HTTP/1.1\r\n{HOST}\r\n"))
        yield proxy
    finally:
        docker.run("docker", "rm", "--force", name, check=False)
        docker.run("docker", "network", "rm", name, check=False)
        docker.run("docker", "rmi", "--force", name, check=False)


def is_problem(answer: tuple[int, str, bytes], status: int) -> None:
    found, headers, body = answer
    assert (found, json.loads(body)["status"]) == (status, status)
    assert "content-type: application/problem+json" in headers


def test_without_a_web_it_is_unavailable(proxy):
    is_problem(proxy.answer(f"GET / HTTP/1.1\r\n{HOST}\r\n"), 503)


def test_an_unusable_answer_of_web_is_a_bad_gateway(proxy):
    def status() -> int:
        return proxy.answer(f"GET / HTTP/1.1\r\n{HOST}\r\n")[0]

    with proxy.web(*program("broken_web.py")):
        eventually(lambda: status() == 502)
        is_problem(proxy.answer(f"GET / HTTP/1.1\r\n{HOST}\r\n"), 502)


def test_a_web_that_does_not_listen_yet_fails_no_request_while_the_others_are_full(proxy):
    ended = Event()

    def statuses() -> set[int]:
        found = set()
        while not ended.is_set():
            found.add(proxy.answer(f"GET / HTTP/1.1\r\n{HOST}\r\n")[0])
        return found

    with proxy.web(*program("slow_web.py")), ThreadPoolExecutor(15) as pool:
        eventually(lambda: proxy.answer(f"GET / HTTP/1.1\r\n{HOST}\r\n")[0] == 200)
        asked = [pool.submit(statuses) for _ in range(15)]
        try:
            for _ in range(3):
                with proxy.web("sleep", "60"):
                    time.sleep(2)  # the proxy learns its address, and counts it as up for a moment
        finally:
            ended.set()
        assert set().union(*(one.result() for one in asked)) == {200}


def test_a_body_that_stops_arriving_is_a_request_timeout(proxy):
    is_problem(proxy.answer(f"POST / HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\n{{"), 408)


@pytest.mark.parametrize(
    "sent", ["GARBAGE\r\n\r\n", f"GET / HTTP/1.1\r\n{HOST}no header\r\n\r\n"], ids=["line", "head"]
)
def test_what_is_not_http_is_a_bad_request_that_shows_no_version(proxy, sent):
    """HAProxy 3.0 sends its own page here: proxy/haproxy.cfg."""
    status, headers, body = proxy.answer(sent)
    assert status == 400
    assert "server:" not in headers
    assert b"HAProxy" not in body
