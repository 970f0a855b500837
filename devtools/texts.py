"""Texts of files, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> str:
    """The text of a file; empty if it is absent or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def line_of(text: str, part: str) -> int:
    """The line of `text` with the first `part`; 1 if there is none."""
    return text.count("\n", 0, max(0, text.find(part))) + 1


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in `text`; empty if it has anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
