"""Reading what may be slow or dead, without waiting long and without asking twice at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connections

TIMEOUT = 1.7  # seconds; the health registry's probes take 1.5 at most

T = TypeVar("T")


@dataclass(frozen=True)
class Known(Generic[T]):
    """What is known: the last value read (None before the first), its age in seconds, and why
    it is not new."""

    value: T | None
    error: str = ""
    age: float = 0.0


class Reading(Generic[T]):
    """Something that is read at most once at a time and remembered for a short while.

    Args:
        read: returns the value; an exception is the reason why there is none. It runs in a
            thread, with its own database connections.
        keep: seconds for which a value is good enough.
    """

    def __init__(self, read: Callable[[], T], keep: float) -> None:
        self._read = read
        self._keep = keep
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._began: float | None = None  # when the read that is under way began
        self._value: T | None = None
        self._read_at = 0.0
        self._tried_at = float("-inf")
        self._error = ""

    def start(self) -> None:
        """Begin to read if the last reading is too old and none is running."""
        with self._lock:
            if self._began is not None or time.monotonic() - self._tried_at < self._keep:
                return
            self._began = time.monotonic()
            self._ended.clear()
        # A daemon, because a stuck read must not hold up the end of the process.
        threading.Thread(target=self._run, name="workbench-reading", daemon=True).start()

    def known(self) -> Known[T]:
        """Wait for the read that is under way, if it is not late already; return what is known."""
        self.start()
        began = self._began
        if began is not None:
            self._ended.wait(max(0.0, began + TIMEOUT - time.monotonic()))
        with self._lock:
            error = self._error
            if self._began is not None:
                error = f"no answer for {time.monotonic() - self._began:.0f} s"
            return Known(self._value, error, time.monotonic() - self._read_at)

    def _run(self) -> None:
        value, error = None, ""
        try:
            value = self._read()
        except Exception as failure:  # every failure is shown
            error = (str(failure).strip() or type(failure).__name__).splitlines()[0]
        finally:
            connections.close_all()  # this thread's own
        with self._lock:
            self._tried_at = time.monotonic()
            self._error = error
            if not error:
                self._value, self._read_at = value, self._tried_at
            self._began = None
            self._ended.set()
