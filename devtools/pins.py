"""The locks of Python packages, `requirements/*.txt`."""

from __future__ import annotations

import re
from typing import NamedTuple

_ENTRY = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)(?:.*\\\n)*.*", re.MULTILINE)


class Locked(NamedTuple):
    """A locked package: its version, and its lines with the hashes."""

    version: str
    text: str


def normal(name: str) -> str:
    """The name of a package as all its spellings are compared."""
    # https://packaging.python.org/en/latest/specifications/name-normalization/
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(text: str) -> dict[str, Locked]:
    """The packages in the text of a lock, by name."""
    return {entry[1]: Locked(entry[2], f"{entry[0]}\n") for entry in _ENTRY.finditer(text)}
