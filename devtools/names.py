"""Names that a person chooses: for a product, for an application."""

from __future__ import annotations

import keyword
import re
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path


def is_of_python(name: str) -> bool:
    """Whether `name` is a word or a module of Python."""
    if keyword.iskeyword(name) or name in getattr(sys, "stdlib_module_names", ()):
        return True
    # Python 3.9 does not list its modules, and later ones leave out `test`.
    return PathFinder.find_spec(name, [sysconfig.get_path("stdlib")]) is not None


def taken(root: Path, module: str) -> str:
    """What has the name of a `module` already, of Python or in `root`; empty if nothing has."""
    if is_of_python(module):
        return "a word or a module of Python"
    folders = (root / "backend" / module, root / module)
    return "a folder here" if any(one.exists() for one in folders) else ""


def proposed(name: str, separator: str, otherwise: str) -> str:
    """A remedy that proposes the allowed name next to `name`, or `otherwise` if there is none."""
    words = re.sub(r"[^a-z0-9]+", separator, name.lower())
    likely = re.sub(rf"^[^a-z]+|{separator}$", "", words)
    return f"for example: {likely or otherwise}"
