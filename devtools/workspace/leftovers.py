"""Ending what a server left behind: children that outlived it, and the debugger's adapter, which
has a session of its own and keeps its port while an editor is connected.

They are known by marks in their environment. Only Linux shows that to other processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

_TURN = 0.01  # seconds between two looks


def end(marks: Mapping[str, str], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Kill all that has `marks` among its variables and wait until it is gone."""
    while found := marked(marks):
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        meanwhile()
        time.sleep(_TURN)


def marked(marks: Mapping[str, str]) -> list[int]:
    """The processes that have `marks` among their variables, without this one."""
    wanted = {os.fsencode(f"{name}={value}") for name, value in marks.items()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Gone, or another user's; of one that has ended nothing can be read.
        with contextlib.suppress(OSError):
            if wanted <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(int(process.name))
    return [number for number in found if number != os.getpid()]
