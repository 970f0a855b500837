"""A worker that is told to stop waits only for its tasks, and not for Celery's intervals.

Up to a second until the event loop sees the signal, and one until its processes end.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import signals
from kombu.asynchronous import get_event_loop


@signals.worker_shutting_down.connect
def wake(**kwargs: Any) -> None:
    """Let the event loop see the signal now. Only another thread wakes it."""
    if loop := get_event_loop():  # none with a pool of threads
        threading.Thread(target=loop.call_soon, args=(_nothing,)).start()


def _nothing() -> None:
    pass


@signals.worker_process_init.connect
def end_last(**kwargs: Any) -> None:
    """Connect `end` behind the receivers of all applications, which are imported by now."""
    signals.worker_process_shutdown.connect(end)


def end(exitcode: int, **kwargs: Any) -> None:
    """End this process of the pool, unless it is to be replaced.

    Billiard sleeps after this until the parent kills it. A parent that stops does not: it waits.
    The results have been read by now, which Billiard waits for before.
    """
    if exitcode == os.EX_OK:
        os._exit(exitcode)
