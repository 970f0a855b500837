"""The directories that ./dev keeps outside the checkout."""

from __future__ import annotations

from pathlib import Path

_PREFIX = "dev-"
_EARLIER = "homeport-"  # of an earlier version


def place(parent: str, name: str) -> Path:
    """The directory `name` of ./dev in `parent`; the one of an earlier version while it exists."""
    earlier = Path(parent, _EARLIER + name)
    return earlier if earlier.exists() else Path(parent, _PREFIX + name)


def places(parent: str) -> list[Path]:
    """Every directory in `parent` with a name of `place`."""
    return sorted(path for one in (_PREFIX, _EARLIER) for path in Path(parent).glob(f"{one}*"))
