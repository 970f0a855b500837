"""Suggestions for a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str]) -> str:
    """A sentence that suggests the most similar of `choices`, or lists all of them."""
    choices = list(choices)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(choices)}"
