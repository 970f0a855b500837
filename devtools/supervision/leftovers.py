"""The marks of the processes of a checkout, and the command that ends a server's orphans: children
that outlived it, and the debugger's adapter, which runs in a separate session and keeps its port
while an editor is connected.

Marks in their environment identify them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import processes

# The variables that identify the processes that a checkout started, even after their supervisor
# is gone, and the service that they belong to.
MARK = "DEV_CHECKOUT"
MARK_SERVICE = "DEV_SERVICE"


def marks(checkout: Path, service: str) -> dict[str, str]:
    """The marks of the processes of `service`."""
    return {MARK: str(checkout), MARK_SERVICE: service}


def command(python: Path, wanted: Mapping[str, str]) -> list[str]:
    """The command that does `processes.end`, for a server that the supervisor restarts."""
    given = [f"{name}={value}" for name, value in wanted.items()]
    return [str(python), "-ISB", processes.__file__, *given]
