"""Do the scripts have Unix line endings?

With `core.autocrlf=true`, git writes `#!/bin/sh\\r`, which names a program that does not exist;
the container then only reports that the script does not exist.
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
    return of(problems(here.checkout), "every script has Unix line endings")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Convert the scripts to Unix line endings."""
    changed = _with_windows_ends(here.checkout.root)
    for path in changed:
        try:
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
        except OSError as error:
            raise here.checkout.unwritable(error) from error
    return [f"gave {path.relative_to(here.checkout.root)} Unix line endings" for path in changed]


def problems(checkout: Checkout) -> list[Problem]:
    """The scripts with Windows line endings."""
    names = [str(path.relative_to(checkout.root)) for path in _with_windows_ends(checkout.root)]
    return [
        Problem(
            f"{name} has Windows line endings (CRLF) and cannot run in a container",
            f"sed -i 's/\\r$//' {shlex.quote(name)}"
            "   and, to keep it that way: git config core.autocrlf input",
        )
        for name in names
    ]


def _with_windows_ends(root: Path) -> list[Path]:
    return sorted(path for path in _scripts(root) if b"\r\n" in path.read_bytes())


def _scripts(root: Path) -> Iterator[Path]:
    candidates = [root / "dev", *root.glob("backend/bin/*"), *root.glob("init-scripts/**/*")]
    # Bytecode files may contain any bytes.
    return (path for path in candidates if path.is_file() and path.suffix != ".pyc")
