"""Do the scripts end their lines as the kernel and the shell want it?

A checkout made with `core.autocrlf=true` turns `#!/bin/sh` into a program named `sh\\r`,
and the container only says that the script does not exist.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from ..checkout import Checkout
from ..errors import Problem


def problems(checkout: Checkout) -> list[Problem]:
    """The scripts with Windows line ends."""
    return [
        Problem(
            f"{name} has Windows line ends (CRLF) and cannot run in a container",
            f"sed -i 's/\\r$//' {shlex.quote(name)}"
            "   and, so that it stays so: git config core.autocrlf input",
        )
        for name in sorted(
            str(path.relative_to(checkout.root))
            for path in _scripts(checkout.root)
            if b"\r\n" in path.read_bytes()
        )
    ]


def _scripts(root: Path) -> Iterator[Path]:
    candidates = [root / "dev", *root.glob("backend/bin/*"), *root.glob("init-scripts/**/*")]
    return (path for path in candidates if path.is_file())
