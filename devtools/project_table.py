"""What ./dev knows of this project: the table `x-project` in docker-compose.yml.

Read as text, because the Python that runs ./dev may have no library for YAML.
"""

from __future__ import annotations

import re
from pathlib import Path

FILE = "docker-compose.yml"

_ENTRY = r"^x-project:\n(?:[ #].*\n)*?  {key}: (.+)$"


def name(root: Path) -> str:
    """The prefix of what ./dev names for the project in `root`."""
    found = _entry(root, "name")
    return found if re.fullmatch(r"[a-z0-9][a-z0-9-]*", found) else "workspace"


def title(root: Path) -> str:
    """What people call the project in `root`."""
    return _entry(root, "title") or name(root)


def _entry(root: Path, key: str) -> str:
    try:
        text = (root / FILE).read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(_ENTRY.format(key=key), text, re.MULTILINE)
    return found.group(1) if found else ""
