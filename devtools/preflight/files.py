"""Can the containers run the scripts and read the mounted files?

With `core.autocrlf=true`, git writes `#!/bin/sh\\r`, which names a program that does not exist;
the container then only reports that the script does not exist.

The database never runs as your user; the application does, unless you are root. In a checkout
created with `umask 077`, other users can read nothing.
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


def windows_line_endings(checkout: Checkout) -> list[Problem]:
    """The scripts with Windows line endings."""
    names = [str(path.relative_to(checkout.root)) for path in with_windows_ends(checkout.root)]
    # With such line endings the launcher itself is no program, but still a Python file.
    launcher = "python3 dev" if "dev" in names else "./dev"
    return [
        Problem(
            f"{name} has Windows line endings (CRLF) and cannot run in a container",
            f"{launcher} doctor --fix line-endings"
            "   and, to keep it that way: git config core.autocrlf input",
        )
        for name in names
    ]


def with_windows_ends(root: Path) -> list[Path]:
    candidates = [root / "dev", *root.glob("backend/bin/*"), *root.glob("init-scripts/**/*")]
    # Bytecode files may contain any bytes.
    scripts = (path for path in candidates if path.is_file() and path.suffix != ".pyc")
    return sorted(path for path in scripts if b"\r\n" in path.read_bytes())


def unreadable(checkout: Checkout) -> list[Problem]:
    """The directories that a container's user cannot read."""
    return [
        Problem(
            f"{name} is not readable by other users, such as the user in the container",
            f"chmod -R o+rX {shlex.quote(name)}",
        )
        for name, closed in closed_to_others(checkout.root).items()
        if closed
    ]


def closed_to_others(root: Path) -> dict[str, list[Path]]:
    """What a container's user cannot read of each directory that one must read."""
    names = READ_BY_THE_DATABASE + (READ_BY_THE_APPLICATION if os.getuid() == 0 else ())
    return {name: [path for path in _below(root / name) if _closed(path)] for name in names}


def _below(directory: Path) -> Iterator[Path]:
    """The mounted files, without entries that begin with a dot, which belong to tools."""
    for parent, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if not name.startswith(".")]
        yield Path(parent)
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _closed(path: Path) -> bool:
    if path.is_symlink():
        return False
    wanted = 0o005 if path.is_dir() else 0o004
    return path.stat().st_mode & wanted != wanted
