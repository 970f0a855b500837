"""JSON with comments and trailing commas, as editors write it."""

from __future__ import annotations

import json
import re
from typing import Any

# Matches strings too, because they may contain `//` or `,]`.
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)


def parse(text: str) -> dict[str, Any]:
    """The object in `text`. Raises ValueError if it is invalid."""
    for superfluous in (_COMMENT, _TRAILING_COMMA):
        text = superfluous.sub(lambda match: match.group(1) or "", text)
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it is not an object")
    return found
