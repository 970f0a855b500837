"""Printing the log files of several services together, each line with its service."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from .terminal import Terminal

INTERVAL = 0.2  # seconds between two reads
COLOURS = ("36", "33", "32", "35", "34", "31")


class LogFile:
    """One service's log, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._read = 0
        self._rest = b""

    def read(self) -> list[str]:
        """The complete lines since the last call; a replaced file is read from its beginning."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode or found.st_size < self._read:
                    self._inode, self._read, self._rest = found.st_ino, 0, b""
                file.seek(self._read)
                new = file.read()
        except OSError:
            return []  # not created yet, or being replaced
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        return [line.decode("utf-8", errors="replace") for line in lines]


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
