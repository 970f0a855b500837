"""Can the containers' users read the mounted checkout?

The database never runs as your user; the application does, unless you are root. In a checkout
created with `umask 077`, other users can read nothing.
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
    """Are scripts executable, and files readable by the containers' users?"""
    found = [_not_executable(here.checkout.root, path) for path in _unable(here.checkout.root)]
    # Processes of the embedded engine run as you and can read everything that you can.
    found += problems(here.checkout) if here.composed else []
    return of(found, "scripts are executable, and mounted files are readable")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Make scripts executable, and mounted files readable by others."""
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
            done += [f"made {len(opened)} files of {name} readable"] if opened else []
    except OSError as error:
        raise here.checkout.unwritable(error) from error
    return done


def problems(checkout: Checkout) -> list[Problem]:
    """The directories that a container's user cannot read."""
    return [
        Problem(
            f"{name} is not readable by other users, such as the user in the container",
            f"chmod -R o+rX {shlex.quote(name)}",
        )
        for name in _read_by_others()
        if any(_closed(path) for path in _below(checkout.root / name))
    ]


def _read_by_others() -> tuple[str, ...]:
    return READ_BY_THE_DATABASE + (READ_BY_THE_APPLICATION if os.getuid() == 0 else ())


def _unable(root: Path) -> list[Path]:
    """The scripts that are not executable: copying through another system may lose the mode."""
    scripts = [root / "dev", *sorted(root.glob("backend/bin/*"))]
    return [path for path in scripts if path.is_file() and not path.stat().st_mode & 0o100]


def _not_executable(root: Path, path: Path) -> Problem:
    name = str(path.relative_to(root))
    return Problem(f"{name} is not executable", f"chmod +x {shlex.quote(name)}")


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
