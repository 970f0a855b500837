"""Gunicorn's worker of threads, of which no client can keep one for long.

Gunicorn's own gives each connection a thread as soon as it is accepted, and that thread waits as
long as the client takes to send its request and to read the answer. A process of four threads was
silent while four clients sent a byte now and then. Here

- a connection takes a thread when its first bytes have arrived, and a kept one takes none;
- the time that a thread spends waiting for its client is limited, and the limit is short when
  every thread of the process is taken;
- a process accepts no connection while every thread is taken: another process may have one free;
- liveness probes at WEB_PROBE_BIND need no thread, so that requests that wait do not delay them.

A proxy that takes in whole requests before it passes them on (proxy/haproxy.cfg) is better still.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from core import liveness
from core.errors import problem_details

FIRST_BYTES = 10  # seconds a new connection may stay silent
CLIENT_TIMEOUT = 120  # seconds that a thread may wait for its client, in all of one request
PROBE_BYTES = 8192  # of a probe's request; what it says makes no difference
BUSY_CLIENT_TIMEOUT = 5  # the same while every thread of the process is taken


def write_problem(sock: socket.socket, status: int, reason: str, detail: str) -> None:
    """Answer a request that cannot be parsed, or that failed outside Django; as Gunicorn's own."""
    util.write_nonblock(sock, problem_answer(status, reason, detail))


def problem_answer(
    status: int, reason: str, detail: str, headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Return a whole answer that is a problem document, after which the connection is closed.

    Args:
        status: HTTP status code.
        reason: its phrase.
        detail: what is wrong; an empty string where Gunicorn does not say.
        headers: names and values of more headers.
    """
    body = json.dumps(problem_details.document(status, detail or reason))
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\n{more}"
        f"Content-Type: {problem_details.CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode("latin1")


# Gunicorn has no setting for the page of its errors.
util.write_error = write_problem


class ClientSocket(socket.socket):
    """A socket that measures how long its process has waited for the other side."""

    _waited = 0.0
    _waiting_since: float | None = None

    @property
    def waited(self) -> float:
        """Seconds spent waiting since `start_again`."""
        since = self._waiting_since
        return self._waited + (time.monotonic() - since if since is not None else 0)

    def start_again(self) -> None:
        self._waited, self._waiting_since = 0.0, None

    @contextlib.contextmanager
    def _measured(self) -> Iterator[None]:
        self._waiting_since = started = time.monotonic()
        try:
            yield
        finally:
            self._waiting_since = None
            self._waited += time.monotonic() - started

    def recv(self, *arguments: Any) -> bytes:
        with self._measured():
            return super().recv(*arguments)

    def sendall(self, *arguments: Any) -> None:
        with self._measured():
            super().sendall(*arguments)

    def sendfile(self, *arguments: Any, **options: Any) -> int:
        with self._measured():
            return super().sendfile(*arguments, **options)


class Worker(ThreadWorker):
    """See the module."""

    sockets: list[socket.socket]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.busy: set[TConn] = set()  # those that have a thread or wait for one
        self.probe_port = liveness.port("WEB_PROBE_BIND")
        ports = {listener: listener.getsockname()[1] for listener in self.sockets}
        self.probe_listeners = [one for one in ports if ports[one] == self.probe_port]
        # Gunicorn accepts at these only while the process has a free thread.
        self.sockets = [one for one in ports if ports[one] != self.probe_port]

    def run(self) -> None:
        for listener in self.probe_listeners:
            listener.setblocking(False)
            self.poller.register(listener, selectors.EVENT_READ, self.accept)
        super().run()

    def enqueue_req(self, conn: TConn) -> None:
        if not isinstance(conn.sock, ClientSocket):
            conn.sock = ClientSocket(fileno=conn.sock.detach())
            self._wait_for_first_bytes(conn)
            return
        if conn.server[1] == self.probe_port:
            self._answer_probe(conn)
            return
        conn.sock.start_again()
        self.busy.add(conn)
        super().enqueue_req(conn)

    def _wait_for_first_bytes(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + FIRST_BYTES
        self.pending_conns.append(conn)
        callback = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, callback)

    def _answer_probe(self, conn: TConn) -> None:
        """Answer any request as /api/v1/health/live/ does: this process accepts and answers."""
        status, state = liveness.state()
        body = json.dumps({"status": state})
        answer = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        with contextlib.suppress(OSError):
            conn.sock.recv(PROBE_BYTES)
            conn.sock.send(answer.encode())
        self.nr_conns -= 1
        conn.close()

    def finish_request(self, conn: TConn, fs: Any) -> None:
        self.busy.discard(conn)
        super().finish_request(conn, fs)

    def _cap_keepalive(self, deadline: float) -> None:
        """Let a stopping process not wait for what has sent nothing, and answer no probe."""
        super()._cap_keepalive(deadline)
        for listener in self.probe_listeners:
            self.poller.unregister(listener)
            listener.close()
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled and not self._all_busy())

    def _all_busy(self) -> bool:
        return len(self.busy) >= self.cfg.threads

    def notify(self) -> None:
        super().notify()
        # Gunicorn asks only when the number of its connections says so.
        if self.alive:
            self.set_accept_enabled(self.nr_conns < self.worker_connections)
        self._drop_slow_clients()

    def _drop_slow_clients(self) -> None:
        limit = BUSY_CLIENT_TIMEOUT if self._all_busy() else CLIENT_TIMEOUT
        for conn in self.busy:
            if conn.sock.waited > limit:
                self.log.warning("dropped a client that was waited for for %d s", limit)
                # Its thread finds the connection closed, and is free.
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)
                conn.sock.start_again()  # logged once
