"""A worker that is told to stop waits for its tasks and for nothing else."""

import os
import signal
import socket
import time

import pytest
from billiard.pool import EX_RECYCLE
from celery import signals
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from core import tracing
from core.celery import warm_stop

WAITING = 9  # seconds until the event loop would look by itself


def test_a_waiting_event_loop_sees_the_signal_at_once(monkeypatch):
    loop = Hub(timer=Timer(max_interval=WAITING))
    here, broker = socket.socketpair()
    loop.add_reader(here, here.recv, 1)
    broker.send(b"x")
    next(loop.loop)  # the loop has begun
    monkeypatch.setattr(warm_stop, "get_event_loop", lambda: loop)
    loop.call_later(WAITING, lambda: None)
    due = time.monotonic() + WAITING
    # As Celery's handler: in the thread of the loop, while it waits.
    before = signal.signal(signal.SIGALRM, lambda *_: signals.worker_shutting_down.send(None))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        next(loop.loop)
    finally:
        signal.signal(signal.SIGALRM, before)
        loop.close()
        here.close()
        broker.close()
    assert time.monotonic() < due


def test_a_pool_of_threads_has_no_event_loop_to_wake(monkeypatch):
    monkeypatch.setattr(warm_stop, "get_event_loop", lambda: None)
    signals.worker_shutting_down.send(None)


@pytest.mark.parametrize(("exitcode", "ended"), [(os.EX_OK, True), (EX_RECYCLE, False)])
def test_a_process_of_the_pool_ends_behind_what_applications_do_then(monkeypatch, exitcode, ended):
    reader, writer = os.pipe()
    monkeypatch.setattr(tracing, "flush", lambda: os.write(writer, b"flushed "))
    process = os.fork()
    if not process:

        def receive(**kwargs):
            os.write(writer, b"received")

        signals.worker_process_shutdown.connect(receive)  # like an application
        warm_stop.end_last()
        signals.worker_process_shutdown.send(None, pid=os.getpid(), exitcode=exitcode)
        os._exit(7)  # Billiard's second would follow
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(writer)
    assert (os.read(reader, 20), status) == (b"flushed received", 0 if ended else 7)
    os.close(reader)
