"""Does VS Code have the extensions that the workspace recommends?"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

from ..process import capture
from .result import NotApplicable, Result, ok, warning

if TYPE_CHECKING:
    from .surroundings import Surroundings

FILE = ".vscode/extensions.json"

# Matches comments, but not `//` inside strings.
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.S)
_LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])')


def check(here: Surroundings) -> Result:
    """Are the recommended extensions installed?"""
    wanted = _recommended(here)
    path = here.checkout.variables.get("PATH")
    if not shutil.which("code", path=path):
        raise NotApplicable("VS Code's command `code` is not on PATH")
    listed = capture(
        ["code", "--list-extensions"],
        directory=here.checkout.root,
        environment=here.checkout.variables,
        timeout=15,
    )
    if not listed.ok:
        raise NotApplicable(f"`code --list-extensions` fails: {listed.last_words}")
    installed = {name.strip().lower() for name in listed.output.splitlines()}
    missing = [name for name in wanted if name.lower() not in installed]
    if missing:
        return warning(
            f"recommended but not installed: {', '.join(missing)}",
            "\n".join(f"code --install-extension {name}" for name in missing),
        )
    return ok(f"the {len(wanted)} recommended extensions are installed")


def _recommended(here: Surroundings) -> list[str]:
    try:
        text = (here.checkout.root / FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise NotApplicable(f"there is no {FILE}") from error
    plain = _LAST_COMMA.sub(r"\1", _COMMENT.sub(r"\1", text))
    try:
        return list(json.loads(plain).get("recommendations") or ())
    except (ValueError, AttributeError) as error:
        raise NotApplicable(f"{FILE} is not JSON: {error}") from error
