"""Answers that are small and show no secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LARGEST = 12_000  # characters of an answer
LONGEST = 4_000  # of a text in it
MOST = 50  # entries of a list in it
HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"passw|secret|token|credential|authorization|cookie|csrf|session_?(key|data|id)|api_?key"
    r"|access_?key|private_?key|^(access|refresh)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"(?P<url>(?<=://)[^\s/?#@:]*:[^\s/@]+(?=@))"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # a JSON Web Token
    r"|\b(?:pbkdf2_sha\d+|argon2\w*|scrypt|bcrypt\w*)\$[^\s'\"]+"  # Django's hash of a password
    r"|(?<=Bearer )[\w.~+/-]+"
    r"|(?P<assigned>(?i:password|secret|token|api_?key)['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&]+"
)


def masked(value: Any, name: str = "") -> Any:
    """`value` without secrets: what is named like one, and texts that look like one."""
    if isinstance(value, Mapping):
        return {key: masked(one, str(key)) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(one, name) for one in value]
    if not isinstance(value, str) or not value:
        return value
    return HIDDEN if _SECRET_NAME.search(name) else _SECRET_TEXT.sub(_hidden, value)


def masked_rows(columns: list[str], rows: list[list[Any]]) -> list[list[Any]]:
    """The rows of a table without secrets."""
    return [[masked(value, column) for column, value in zip(columns, row)] for row in rows]


def bounded(value: Any) -> Any:
    """`value` with long texts and lists cut, and a note of what was left out."""
    found = _cut(value)
    text = json.dumps(found, default=str)
    if len(text) <= LARGEST:
        return found
    return {
        "cut": text[:LARGEST],
        "left_out": f"{len(text) - LARGEST} of {len(text)} characters: ask for less at once",
    }


def _cut(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _cut(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        more = [f"... {len(value) - MOST} more"] if len(value) > MOST else []
        return [*map(_cut, value[:MOST]), *more]
    if isinstance(value, str) and len(value) > LONGEST:
        # The error of a traceback may be at either end.
        left = f"\n... {len(value) - LONGEST} characters left out ...\n"
        return value[: LONGEST // 2] + left + value[-LONGEST // 2 :]
    return value


def _hidden(found: re.Match[str]) -> str:
    if found["url"]:
        return f"{found['url'].partition(':')[0]}:{HIDDEN}"
    return f"{found['assigned'] or ''}{HIDDEN}"
