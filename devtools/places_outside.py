"""The directories that ./dev keeps outside the checkout."""

from __future__ import annotations

from pathlib import Path

_PREFIX = "dev-"


def place(parent: str, name: str) -> Path:
    """The directory `name` of ./dev in `parent`."""
    return Path(parent, _PREFIX + name)


def places(parent: str) -> list[Path]:
    """Every directory in `parent` with a name of `place`."""
    return sorted(Path(parent).glob(f"{_PREFIX}*"))
