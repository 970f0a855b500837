"""Ending the orphans of a server: children that outlived it, and the debugger's adapter, which
runs in a separate session and keeps its port while an editor is connected.

Marks in their environment identify them. Only Linux shows the environment of other processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

_TURN = 0.01  # seconds between two polls


def end(marks: Mapping[str, str], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Kill all processes that have `marks` in their environment and wait until they are gone."""
    while found := marked(marks):
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        meanwhile()
        time.sleep(_TURN)


def marked(marks: Mapping[str, str]) -> list[int]:
    """The processes with `marks` in their environment, except this one."""
    wanted = {os.fsencode(f"{name}={value}") for name, value in marks.items()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Gone, or another user's; the environment of a zombie cannot be read.
        with contextlib.suppress(OSError):
            if wanted <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(int(process.name))
    return [number for number in found if number != os.getpid()]
