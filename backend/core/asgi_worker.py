"""Gunicorn's ASGI worker, with the limits of the worker of threads: core/gunicorn_worker.py.

It is part of the Gunicorn that serves WSGI, so that forks, hooks, limits of headers, sockets and
the end of a process are the same. A client that is waited for takes no thread here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from weakref import WeakSet

from django.db import connection, connections
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER

from core import liveness, streams
from core.gunicorn_worker import FIRST_BYTES, problem_answer


class Protocol(ASGIProtocol):
    """A connection of a client."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.worker.protocols.add(self)
        # Ended with the first request's headers, as that of a kept connection.
        self._keepalive_handle = self.worker.loop.call_later(FIRST_BYTES, self._keepalive_timeout)

    def close_if_idle(self) -> None:
        if self._awaiting_request:
            self._keepalive_timeout()

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        self._safe_write(problem_answer(status, HTTPStatus(status).phrase, message, extra_headers))


gasgi.ASGIProtocol = Protocol  # Gunicorn has no setting for it


class Threads(ThreadPoolExecutor):
    """Threads in which no request ends: each call gives back its database connection."""

    def submit(self, function: Callable, /, *arguments: Any, **options: Any) -> Future:
        def call() -> Any:
            connection.waits_for_others = False  # type: ignore[attr-defined]
            try:
                return function(*arguments, **options)
            finally:
                connections.close_all()

        return super().submit(call)


class Worker(gasgi.ASGIWorker):
    """See the module."""

    asgi: Any

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Take `threads` without a warning: core/asgi.py limits the connections by it."""

    def init_process(self) -> None:
        self.protocols: WeakSet[Protocol] = WeakSet()
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        application, probe_port = self.asgi, liveness.port("WEB_PROBE_BIND")

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if probe_port and scope["server"] and scope["server"][1] == probe_port:
                await _answer_probe(send)
            else:
                await application(scope, receive, send)

        self.asgi = answer

    def _setup_event_loop(self) -> None:
        super()._setup_event_loop()
        # Of asyncio.to_thread and sync_to_async(thread_sensitive=False).
        self.loop.set_default_executor(Threads(self.cfg.threads))

    def handle_exit_signal(self) -> None:
        super().handle_exit_signal()
        streams.stopping.set()

    async def _shutdown(self) -> None:
        """Let kept connections not hold up the end, as the worker of threads does."""
        self.loop.call_later(STOP_KEEPALIVE_LINGER, self._close_idle)
        await super()._shutdown()

    def _close_idle(self) -> None:
        for protocol in list(self.protocols):
            protocol.close_if_idle()


async def _answer_probe(send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answer any request as /api/v1/health/live/ does: no thread of Django is needed for it."""
    status, state = liveness.state()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"status": state}).encode()})
