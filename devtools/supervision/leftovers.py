"""Ending the orphans of a server: children that outlived it, and the debugger's adapter, which
runs in a separate session and keeps its port while an editor is connected.

Marks in their environment identify them. Only Linux shows the environment of other processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

# The variables that identify the processes that a checkout started, even after their supervisor
# is gone, and the service that they belong to.
MARK = "DEV_CHECKOUT"
MARK_SERVICE = "DEV_SERVICE"

_TURN = 0.01  # seconds between two polls


def marks(checkout: Path, service: str) -> dict[str, str]:
    """The marks of the processes of `service`."""
    return {MARK: str(checkout), MARK_SERVICE: service}


def command(python: Path, wanted: Mapping[str, str]) -> list[str]:
    """The command that does `end`, for a server that the supervisor restarts."""
    given = [f"{name}={value}" for name, value in wanted.items()]
    return [str(python), "-ISB", __file__, *given]


def end(wanted: Mapping[str, str]) -> None:
    """Kill all processes with the marks `wanted`, and wait until they are gone."""
    while found := marked(wanted):
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(_TURN)


def marked(wanted: Mapping[str, str]) -> list[int]:
    """The processes with the marks `wanted` in their environment, except this one."""
    variables = {os.fsencode(f"{name}={value}") for name, value in wanted.items()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Gone, or another user's; the environment of a zombie cannot be read.
        with contextlib.suppress(OSError):
            if variables <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(int(process.name))
    return [number for number in found if number != os.getpid()]


if __name__ == "__main__":
    end(dict(argument.split("=", 1) for argument in sys.argv[1:]))
