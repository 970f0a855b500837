"""Django's runserver on a socket that outlives it; it ends when its requests have ended."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn

from django.contrib.staticfiles.management.commands import runserver
from django.core.management.base import CommandParser
from django.core.servers.basehttp import WSGIServer
from django.core.signals import request_finished, request_started
from django.db import connections

from core.env import environment

DRAIN_TIMEOUT = 5  # seconds that requests have to end; no limit under a debugger


class Server(WSGIServer):
    """Closes a thread's connections to the database, which no other thread can use."""

    def close_request(self, request: Any) -> None:
        connections.close_all()
        super().close_request(request)


class InheritedServer(Server):
    """A server on the socket behind a file descriptor, which listens already."""

    descriptor: int
    requests: Requests
    server_address: Any  # host and port first, of either family

    def server_bind(self) -> None:
        self.socket.close()
        self.socket = socket.socket(fileno=self.descriptor)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()

    def server_activate(self) -> None:
        """Leave the length of its queue as it is."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        self.requests.opened()
        return True

    def shutdown_request(self, request: Any) -> None:
        self.requests.closed()
        super().shutdown_request(request)

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        self.requests.server = self
        # Not before: the end would not wait for a server that begins to serve meanwhile.
        signal.signal(signal.SIGTERM, self.requests.end)
        super().serve_forever(poll_interval)
        self.requests.wait()


class Requests:
    """Counts the requests that are being answered, the first of a connection from its start."""

    def __init__(self) -> None:
        self.active = 0
        self.server: InheritedServer
        self._ending: threading.Thread | None = None
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        request_started.connect(self._started)
        request_finished.connect(self._finished)

    def opened(self) -> None:
        """Count a connection that was accepted as its first request."""
        self._add(1)

    def closed(self) -> None:
        """Forget a connection, in the thread that served it."""
        if not self._has_started:
            self._add(-1)
        self._has_started = False

    @property
    def _has_started(self) -> bool:
        return getattr(self._of_thread, "has_started", False)

    @_has_started.setter
    def _has_started(self, value: bool) -> None:
        self._of_thread.has_started = value

    def _started(self, **_: Any) -> None:
        if self._has_started:
            self._add(1)
        self._has_started = True

    def _finished(self, **_: Any) -> None:
        self._add(-1)

    def _add(self, number: int) -> None:
        with self._lock:
            self.active += number

    def end(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: let the requests end while no other is accepted, then exit.

        The thread that it interrupts may have just accepted a connection, and has to go on.
        """
        signal.signal(number, signal.SIG_IGN)
        self._ending = threading.Thread(target=self._end)
        self._ending.start()

    def wait(self) -> None:
        """Wait for the exit, if it has begun."""
        if self._ending:
            self._ending.join()

    def _end(self) -> NoReturn:
        self.server.shutdown()
        timeout = math.inf if environment()["DEBUGPY_PORT"] else DRAIN_TIMEOUT
        end = time.monotonic() + timeout
        while self.active and time.monotonic() < end:
            time.sleep(0.01)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # the threads of kept connections would go on


class Command(runserver.Command):
    """Adds `--socket`."""

    server_cls: Any = Server

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--socket", type=int, help="file descriptor of a listening socket")

    def inner_run(self, *args: Any, **options: Any) -> None:
        if options["socket"] is not None:
            requests = Requests()
            attributes = {"descriptor": options["socket"], "requests": requests}
            self.server_cls = type("Server", (InheritedServer,), attributes)
        super().inner_run(*args, **options)
