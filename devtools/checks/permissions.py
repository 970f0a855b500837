"""Can the containers' users read the checkout that is mounted into them?

The database never runs as you; the application does, unless you are root. A checkout made
with `umask 077` is closed to everybody else.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from ..checkout import Checkout
from ..errors import Problem
from .result import Result, of

if TYPE_CHECKING:
    from .surroundings import Surroundings

READ_BY_THE_DATABASE = ("init-scripts",)
READ_BY_THE_APPLICATION = ("backend",)


def check(here: Surroundings) -> Result:
    """Can scripts be run, and files be read by the containers' users?"""
    found = [_not_executable(here.checkout.root, path) for path in _unable(here.checkout.root)]
    # Processes of this machine run as you: nothing of it is closed to them.
    found += problems(here.checkout) if here.composed else []
    return of(found, "scripts can be run, and what is mounted can be read")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Let scripts be run, and others read what is mounted."""
    root = here.checkout.root
    done = []
    try:
        for path in _unable(root):
            path.chmod(path.stat().st_mode | 0o111)
            done.append(f"made {path.relative_to(root)} executable")
        for name in _read_by_others() if here.composed else ():
            opened = [path for path in _below(root / name) if _closed(path)]
            for path in opened:
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            done += [f"opened {len(opened)} files of {name} for reading"] if opened else []
    except OSError as error:
        raise here.checkout.unwritable(error) from error
    return done


def problems(checkout: Checkout) -> list[Problem]:
    """The directories that a container's user could not read."""
    return [
        Problem(
            f"{name} is closed to other users, and so to the one in the container",
            f"chmod -R o+rX {shlex.quote(name)}",
        )
        for name in _read_by_others()
        if any(_closed(path) for path in _below(checkout.root / name))
    ]


def _read_by_others() -> tuple[str, ...]:
    return READ_BY_THE_DATABASE + (READ_BY_THE_APPLICATION if os.getuid() == 0 else ())


def _unable(root: Path) -> list[Path]:
    """The scripts that cannot be run: a copy through another system may lose that."""
    scripts = [root / "dev", *sorted(root.glob("backend/bin/*"))]
    return [path for path in scripts if path.is_file() and not path.stat().st_mode & 0o100]


def _not_executable(root: Path, path: Path) -> Problem:
    name = str(path.relative_to(root))
    return Problem(f"{name} cannot be executed", f"chmod +x {shlex.quote(name)}")


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
