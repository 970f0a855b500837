"""What ./dev knows of this project: the table `x-project` in docker-compose.yml.

Read as text, because the Python that runs ./dev may have no library for YAML.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from . import texts

FILE = "docker-compose.yml"
# Of the variable that overrides `stack_name`.
VARIABLE = "COMPOSE_PROJECT_NAME"

_ENTRY = r"^x-project:\n(?:[ #].*\n)*?  {key}: (.+)$"


def name(root: Path) -> str:
    """The prefix of what ./dev names for the project in `root`."""
    found = _entry(root, "name")
    return found if re.fullmatch(r"[a-z0-9][a-z0-9-]*", found) else "workspace"


def stack_name(root: Path) -> str:
    """The name of the stack of the checkout in `root`, as Compose derives it from the folder.

    Compose cannot if that has neither Latin letters nor digits; then it is made of the path.
    """
    derived = re.sub(r"[^a-z0-9_-]", "", root.name.lower()).lstrip("_-")
    return derived or f"{name(root)}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"


def title(root: Path) -> str:
    """What people call the project in `root`."""
    return _entry(root, "title") or name(root)


def _entry(root: Path, key: str) -> str:
    found = re.search(_ENTRY.format(key=key), texts.read(root / FILE), re.MULTILINE)
    return found.group(1) if found else ""
