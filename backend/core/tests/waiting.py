"""Waiting in tests for what other threads and processes do."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object], within: float = 30, every: float = 0.01) -> None:
    """Ask `every` so many seconds until it holds; fail after `within` seconds."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(every)
