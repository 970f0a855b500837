"""What the code looked like at a moment, so that an edit can be told."""

from __future__ import annotations

import os
from pathlib import Path


def snapshot(directory: Path) -> dict[str, int]:
    """When each Python file below `directory` was last written, in nanoseconds, by path."""
    found: dict[str, int] = {}
    left = [str(directory)]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith((".", "__pycache__")):
                            left.append(entry.path)
                    elif entry.name.endswith(".py"):
                        found[entry.path] = entry.stat().st_mtime_ns
        except OSError:
            continue  # removed meanwhile
    return found
