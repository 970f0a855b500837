"""Django's development server, as `./dev serve runserver` starts it."""

import gc
import signal
import threading
import urllib.request
from socketserver import ThreadingMixIn

import pytest
from django.contrib.staticfiles.management.commands import runserver
from django.core.servers.basehttp import WSGIRequestHandler
from django.db import connection

from core.tests.waiting import wait_until
from development.management.commands.runserver import Command


@pytest.mark.django_db
def test_a_thread_that_ends_leaves_no_session_of_the_database():
    opened = set()

    def application(environ, start_response):
        opened.add(own_session())
        start_response("200 OK", [("Content-Length", "0")])
        return []

    server = type("Threaded", (ThreadingMixIn, Command.server_cls), {})(
        ("127.0.0.1", 0), WSGIRequestHandler
    )
    server.set_app(application)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    gc.disable()  # it would close what is left behind, one day
    try:
        for _ in range(3):
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").close()
        server.shutdown()
        serving.join()
        server.server_close()  # joins the threads of requests
        assert len(opened) == 3
        # The server ends a session that was closed in its time.
        wait_until(lambda: not opened & sessions(), within=10, every=0.05)
    finally:
        gc.enable()


def test_a_stop_before_it_serves_is_left_to_the_program(monkeypatch):
    """Its own end waits for requests, which a server that begins meanwhile would cut off."""
    before, handlers = signal.getsignal(signal.SIGTERM), []
    monkeypatch.setattr(
        runserver.Command,
        "inner_run",
        lambda *_, **__: handlers.append(signal.getsignal(signal.SIGTERM)),
    )
    Command().inner_run(socket=0)
    assert handlers == [before]


def own_session() -> int:
    connection.ensure_connection()
    return connection.connection.info.backend_pid


def sessions() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # taken once in each transaction
        return {pid for (pid,) in cursor.execute("SELECT pid FROM pg_stat_activity")}
