"""Printing the log files of several services as one, each line with its service."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..terminal import Terminal

INTERVAL = 0.2  # seconds between two looks
COLOURS = ("36", "33", "32", "35", "34", "31")


class LogFile:
    """One service's log, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._rest = ""

    def read(self) -> list[str]:
        """The complete lines since the last time; a file that was replaced begins anew."""
        if self._file is None or self._replaced():
            try:
                self._file = self._path.open(encoding="utf-8", errors="replace")
            except OSError:
                return []
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        return lines

    def _replaced(self) -> bool:
        try:
            now = self._path.stat()
        except OSError:
            return False  # being rotated
        open_one = os.fstat(self._file.fileno())
        return now.st_ino != open_one.st_ino or now.st_size < self._file.tell()


def show(
    terminal: Terminal,
    files: Sequence[tuple[str, Path]],
    *,
    follow: bool,
    tail: int | None,
) -> None:
    """Print the logs of services, by name and file; with `follow` until Ctrl-C."""
    width = max((len(name) for name, _ in files), default=0)
    prefixes = {
        name: terminal.paint(f"{name:<{width}} | ", COLOURS[number % len(COLOURS)])
        for number, (name, _) in enumerate(files)
    }
    logs = {name: LogFile(path) for name, path in files}
    for name, log in logs.items():
        for line in deque(log.read(), maxlen=tail):
            terminal.say(prefixes[name] + line)
    while follow:
        time.sleep(INTERVAL)
        for name, log in logs.items():
            for line in log.read():
                terminal.say(prefixes[name] + line)
