"""Texts of files."""

from __future__ import annotations

from pathlib import Path


def read(path: Path) -> str:
    """The text of a file; empty if it is absent or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def line_of(text: str, part: str) -> int:
    """The line of `text` with the first `part`; 1 if there is none."""
    return text.count("\n", 0, max(0, text.find(part))) + 1
