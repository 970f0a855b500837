"""Compares the answers of --json with their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def misfit(value: Any, shape: Any, place: str = "answer") -> str:
    """Where `value` differs from `shape`, and how; empty if it fits."""
    if isinstance(shape, str):
        return "" if any(_is(value, one) for one in shape.split("|")) else f"{place}: not {shape}"
    if value is None:
        return ""  # an object or a list that does not apply
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place}: not a list"
        found = (misfit(one, shape[0], f"{place}[{n}]") for n, one in enumerate(value))
        return next(filter(None, found), "")
    if not isinstance(value, Mapping):
        return f"{place}: not an object"
    return _misfit_of_keys(value, shape, place)


def _misfit_of_keys(value: Mapping[str, Any], shape: Mapping[str, Any], place: str) -> str:
    [any_key] = [key for key in shape if key.startswith("<")] or [""]
    known = {key.rstrip("?"): one for key, one in shape.items() if key != any_key}
    missing = [key for key in shape if key not in value and key != any_key and key[-1] != "?"]
    if missing:
        return f"{place}: no {', '.join(missing)}"
    for key, one in value.items():
        if key not in known and not any_key:
            return f"{place}: unknown {key}"
        if found := misfit(one, known.get(key, shape.get(any_key)), f"{place}.{key}"):
            return found
    return ""


def _is(value: Any, kind: str) -> bool:
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    kinds = {"text": str, "flag": bool, "null": type(None), "any": object}
    return isinstance(value, kinds[kind]) if kind in kinds else value == kind
