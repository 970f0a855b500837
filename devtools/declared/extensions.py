"""PostgreSQL's extensions that the product declares, read from the text of its settings."""

from __future__ import annotations

import ast
from pathlib import Path

FILE = "backend/core/settings/base.py"
SETTING = "POSTGRES_EXTENSIONS"


def load(root: Path) -> list[str]:
    """The names in the setting; none if it is absent, or not a plain list of names."""
    try:
        tree = ast.parse((root / FILE).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            else:
                continue
            if any(isinstance(one, ast.Name) and one.id == SETTING for one in targets):
                return [str(name) for name in ast.literal_eval(node.value or ast.List([]))]
    except (OSError, ValueError, SyntaxError, TypeError):
        pass
    return []
