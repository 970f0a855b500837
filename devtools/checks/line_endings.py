"""Do the scripts end their lines as the kernel and the shell want it?

A checkout made with `core.autocrlf=true` turns `#!/bin/sh` into a program named `sh\\r`,
and the container only says that the script does not exist.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from ..checkout import Checkout
from ..errors import Problem
from .result import Result, of

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Do all scripts end their lines with LF?"""
    return of(problems(here.checkout), "every script ends its lines with LF")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Give the scripts the line ends that they need."""
    changed = _with_windows_ends(here.checkout.root)
    for path in changed:
        try:
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
        except OSError as error:
            raise here.checkout.unwritable(error) from error
    return [f"gave {path.relative_to(here.checkout.root)} line ends of Unix" for path in changed]


def problems(checkout: Checkout) -> list[Problem]:
    """The scripts with Windows line ends."""
    names = [str(path.relative_to(checkout.root)) for path in _with_windows_ends(checkout.root)]
    return [
        Problem(
            f"{name} has Windows line ends (CRLF) and cannot run in a container",
            f"sed -i 's/\\r$//' {shlex.quote(name)}"
            "   and, so that it stays so: git config core.autocrlf input",
        )
        for name in names
    ]


def _with_windows_ends(root: Path) -> list[Path]:
    return sorted(path for path in _scripts(root) if b"\r\n" in path.read_bytes())


def _scripts(root: Path) -> Iterator[Path]:
    candidates = [root / "dev", *root.glob("backend/bin/*"), *root.glob("init-scripts/**/*")]
    # Compiled Python holds any bytes.
    return (path for path in candidates if path.is_file() and path.suffix != ".pyc")
