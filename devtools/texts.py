"""Texts of files that may be absent."""

from __future__ import annotations

from pathlib import Path


def read(path: Path) -> str:
    """The text of a file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
