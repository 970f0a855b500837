"""What .devcontainer/devcontainer.json gives the container and takes from the machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..errors import DevError

FILE = ".devcontainer/devcontainer.json"

_GIVEN = ("containerEnv", "remoteEnv")
_TAKEN = re.compile(r"\$\{(?:localEnv|containerEnv):(\w+)")
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)


def names(path: Path) -> list[tuple[str, int]]:
    """Every variable that the file names, with its line; none where there is no such file.

    Raises DevError if the file is not JSON with comments.
    """
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    try:
        document = parse(text)
    except ValueError as error:
        raise DevError(f"{FILE} is faulty: {error}", f"git diff {FILE}") from error
    given = [name for key in _GIVEN for name in document.get(key) or {}]
    found = [(name, _line(text, f'"{name}"')) for name in given]
    taken = [(m.group(1), _line(text, m.group())) for m in _TAKEN.finditer(text)]
    return sorted({*found, *taken}, key=lambda pair: (pair[1], pair[0]))


def parse(text: str) -> dict[str, Any]:
    """JSON with comments and trailing commas, as editors write it."""
    for superfluous in (_COMMENT, _TRAILING_COMMA):
        text = superfluous.sub(lambda match: match.group(1) or "", text)
    return json.loads(text)


def _line(text: str, part: str) -> int:
    return text.count("\n", 0, max(0, text.find(part))) + 1
