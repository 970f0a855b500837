"""The identity of a checkout, to tell whether its `.dev` was moved or copied.

`.dev/checkout.json` contains an identifier and the path it was created for. Both are kept when a
folder is renamed or copied. If the recorded path differs from the current one, the checkout was
moved or copied: it is a copy if the recorded path still has the same identifier.

A directory outside the checkout has the same file, so that it is found if `.dev` was deleted.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .places_outside import place, places

DIRECTORY = ".dev"
FILE = "checkout.json"
# For files that a user without access to the checkout must read; they persist.
OUTSIDE = "/var/tmp"


@dataclass(frozen=True)
class Identity:
    """`id` names what this checkout stores outside; it is unique.

    `moved_from` is the old path of the folder, while something may be left there; `copied_from`
    is the checkout that this one was copied from. `recorded` tells that the record needs no
    change.
    """

    id: str
    moved_from: Path | None = None
    copied_from: Path | None = None
    recorded: bool = False


def read(root: Path) -> Identity:
    """The identity of the checkout in `root`. One without a record gets a new identifier."""
    found = _record(root)
    if not found:
        return Identity(_identifier_without_record(root))
    known, before = str(found["id"]), Path(found["root"])
    if before == root or _same_folder(before, root):
        copied_from = Path(found["copied_from"]) if found.get("copied_from") else None
        return Identity(known, copied_from=copied_from, recorded=True)
    there = _record(before)
    # A directory that another user closed counts as present.
    if there is None or there.get("id") == known:
        return Identity(secrets.token_hex(6), copied_from=before)
    if there:  # another checkout is there now, and has stopped the old processes
        return Identity(known)
    return Identity(known, moved_from=before, recorded=True)


def outside(identifier: str) -> Path:
    """The directory outside the checkout with this identifier."""
    return place(OUTSIDE, identifier)


def lost_outside() -> Iterator[tuple[Path, str]]:
    """This user's directories outside checkouts that are no longer there, and where those were."""
    for path, record in _outside():
        if record["inode"] != _inode(Path(record["root"])):
            yield path, record["root"]


def as_record(identity: Identity, root: Path) -> dict[str, Any]:
    """The contents of FILE for the checkout in `root`.

    A new clone in the place of a moved one has another inode.
    """
    copied_from = str(identity.copied_from or "")
    return {"id": identity.id, "root": str(root), "copied_from": copied_from, "inode": _inode(root)}


def _identifier_without_record(root: Path) -> str:
    for _path, record in _outside():
        if (record["root"], record["inode"]) == (str(root), _inode(root)):  # `.dev` was deleted
            return str(record["id"])
    return secrets.token_hex(6)


def _outside() -> Iterator[tuple[Path, dict[str, Any]]]:
    """This user's directories outside checkouts, and their records."""
    for path in places(OUTSIDE):
        # Anyone can create a directory there.
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            continue
        found = _read(path / FILE)
        if found and "inode" in found:
            yield path, found


def _inode(folder: Path) -> int:
    """The inode of `folder`; 0 if there is none."""
    try:
        return folder.stat().st_ino
    except OSError:
        return 0


def _record(root: Path) -> dict[str, Any] | None:
    """The record in `root`: empty without a record, None if it is not readable."""
    return _read(root / DIRECTORY / FILE)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except PermissionError:
        return None
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and {"id", "root"} <= facts.keys() else {}


def _same_folder(one: Path, other: Path) -> bool:
    """Whether both are the same folder, mounted twice."""
    try:
        return one.samefile(other)
    except OSError:
        return False
