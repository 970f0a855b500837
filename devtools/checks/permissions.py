"""Can the containers' users read the checkout that is mounted into them?

The database never runs as you; the application does, unless you are root. A checkout made
with `umask 077` is closed to everybody else.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from ..checkout import Checkout
from ..errors import Problem

READ_BY_THE_DATABASE = ("init-scripts",)
READ_BY_THE_APPLICATION = ("backend",)


def problems(checkout: Checkout) -> list[Problem]:
    """The directories that a container's user could not read."""
    names = READ_BY_THE_DATABASE + (READ_BY_THE_APPLICATION if os.getuid() == 0 else ())
    return [
        Problem(
            f"{name} is closed to other users, and so to the one in the container",
            f"chmod -R o+rX {shlex.quote(name)}",
        )
        for name in names
        if any(_closed(path) for path in _below(checkout.root / name))
    ]


def _below(directory: Path) -> Iterator[Path]:
    """What is mounted to be read; what tools keep for themselves begins with a dot."""
    for parent, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if not name.startswith(".")]
        yield Path(parent)
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _closed(path: Path) -> bool:
    if path.is_symlink():
        return False
    wanted = 0o005 if path.is_dir() else 0o004
    return path.stat().st_mode & wanted != wanted
