"""Suggestions for a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .errors import UsageError


def nearest(word: str, choices: Iterable[str]) -> str:
    """A sentence that suggests the most similar of `choices`, or lists all of them."""
    choices = list(choices)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(choices)}"


def must_be_known(kind: str, words: Iterable[str], known: Iterable[str]) -> None:
    """Raise UsageError for the first of `words` that is not `known`."""
    for word in words:
        if word not in known:
            raise UsageError(f"there is no {kind} {word!r}", nearest(word, known))
