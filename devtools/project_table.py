"""What ./dev knows of this project: the table `x-project` in docker-compose.yml.

Read as text, because the Python that runs ./dev may have no library for YAML.
"""

from __future__ import annotations

import re
from pathlib import Path

FILE = "docker-compose.yml"

_NAME = re.compile(r"^x-project:\n(?:[ #].*\n)*?  name: ([a-z0-9][a-z0-9-]*)$", re.MULTILINE)


def name(root: Path) -> str:
    """The prefix of what ./dev names for the project in `root`."""
    try:
        found = _NAME.search((root / FILE).read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found.group(1) if found else "workspace"
