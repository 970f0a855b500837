"""Is there enough memory for the stack?"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..process import capture
from .result import NotApplicable, Result, ok, warning

if TYPE_CHECKING:
    from .surroundings import Surroundings

GIGABYTE = 1024**3
# As in README: measured with an idle stack, plus room for a build or a test run.
IN_CONTAINERS = 2 * GIGABYTE
AS_PROCESSES = 0.6 * GIGABYTE

_TABLE = Path("/proc/meminfo")


def check(here: Surroundings) -> Result:
    """Does the machine have enough memory, and enough free memory while the stack is down?"""
    needed = IN_CONTAINERS if here.composed else AS_PROCESSES
    whose = "Docker has" if here.composed else "this machine has"
    total = here.docker_info.get("MemTotal", 0) if here.composed else _total(here)
    if not total:
        raise NotApplicable("the system does not report its memory")
    if total < needed * 0.9:  # a machine sold with 2 GB reports slightly less
        return warning(
            f"{whose} {_shown(total)} of memory; the stack needs {_shown(needed)}",
            "give Docker more memory in its settings (Resources), or use a larger machine",
        )
    available = _of_table("MemAvailable")
    if available and available < needed and not here.database_runs:
        free = f"{_shown(available)} of {_shown(total)}"
        return warning(
            f"only {free} are free; the stack needs {_shown(needed)}",
            "stop what you do not need; largest processes: ps -eo rss,comm --sort -rss | head",
        )
    free = f", {_shown(available)} free" if available else ""
    return ok(f"{whose} {_shown(total)}{free}")


def _total(here: Surroundings) -> float:
    if _TABLE.exists():
        return _of_table("MemTotal")
    asked = capture(
        ["sysctl", "-n", "hw.memsize"],
        directory=here.checkout.root,
        environment=here.checkout.variables,
    )
    return float(asked.output) if asked.ok else 0


def _of_table(name: str) -> float:
    """A value of /proc/meminfo in bytes; 0 if there is none."""
    with contextlib.suppress(OSError):
        found = re.search(rf"^{name}: +(\d+) kB", _TABLE.read_text(encoding="ascii"), re.M)
        return int(found.group(1)) * 1024 if found else 0
    return 0


def _shown(size: float) -> str:
    return f"{size / GIGABYTE:.1f} GB"
