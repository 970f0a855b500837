"""The variables that .devcontainer sets or reads, outside its Compose file."""

from __future__ import annotations

import re
from pathlib import Path

from .. import dotenv
from ..errors import DevError
from ..texts import line_of
from . import jsonc

FILE = ".devcontainer/devcontainer.json"

_GIVEN = ("containerEnv", "remoteEnv")
_TAKEN = re.compile(r"\$\{(?:localEnv|containerEnv):(\w+)")


def names(root: Path) -> list[tuple[str, str, int]]:
    """Every variable named there, with file and line; empty without a dev container.

    Raises DevError if FILE is not JSON with comments.
    """
    path = root / FILE
    found = _of_json(path.read_text("utf-8")) if path.exists() else []
    for file in sorted(path.parent.glob("*.env")):
        text = file.read_text("utf-8")
        inner = str(file.relative_to(root))
        found += [
            (name, inner, line_of(text, f"{name}="))
            for name in dotenv.parse(text.encode(), lambda _: None).values
        ]
    return found


def _of_json(text: str) -> list[tuple[str, str, int]]:
    try:
        document = jsonc.parse(text)
    except ValueError as error:
        raise DevError(
            f"{FILE} is invalid: {error}", f"see the changes: git diff HEAD {FILE}"
        ) from error
    given = [name for key in _GIVEN for name in document.get(key) or {}]
    found = {(name, FILE, line_of(text, f'"{name}"')) for name in given}
    found |= {(m.group(1), FILE, line_of(text, m.group())) for m in _TAKEN.finditer(text)}
    return sorted(found, key=lambda one: (one[2], one[0]))
