"""Do you own the checkout's files?

Commands run with sudo, and containers that run as root, leave files that you cannot edit.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .result import Result, not_applicable, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings

# Large directories that are recreated rather than edited.
_NOT_LOOKED_INTO = {".venv", "node_modules", "__pycache__"}
# The data of the embedded engine's PostgreSQL, which runs as another user if you are root.
_OF_OTHERS = {"data"}


def check(here: Surroundings) -> Result:
    """Do you own every file of the checkout?"""
    if os.getuid() == 0:
        return not_applicable("you are root, who can write every file")
    root = here.checkout.root
    others = [path for path in _files(root) if path.lstat().st_uid != os.getuid()]
    if not others:
        return ok("you own every file")
    first = others[0].relative_to(root)
    count = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return wrong(
        f"you do not own {first}{count}",
        f"sudo chown -R $(id -u):$(id -g) {shlex.quote(str(root))}",
    )


def _files(root: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(root):
        skipped = _NOT_LOOKED_INTO | (_OF_OTHERS if Path(parent) == root / ".dev" else set())
        directories[:] = [name for name in directories if name not in skipped]
        yield from (Path(parent, name) for name in (*directories, *files))
