"""The locks of Python packages, `requirements/*.txt`."""

from __future__ import annotations

import re
from typing import NamedTuple

from .checkout import Checkout
from .errors import DevError

_ENTRY = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)(?:.*\\\n)*.*", re.MULTILINE)


class Locked(NamedTuple):
    """A locked package: its version, and its lines with the hashes."""

    version: str
    text: str


def read(checkout: Checkout, file: str) -> str:
    """The text of a lock. Raises DevError if it cannot be read."""
    try:
        return (checkout.root / file).read_text(encoding="utf-8")
    except OSError as error:
        raise DevError(
            f"{file} cannot be read: {error.strerror}", f"git checkout HEAD {file}"
        ) from error


def packages(text: str) -> dict[str, Locked]:
    """The packages in the text of a lock, by name."""
    return {entry[1]: Locked(entry[2], f"{entry[0]}\n") for entry in _ENTRY.finditer(text)}
