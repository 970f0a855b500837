"""What spans must not carry: values, secrets, personal data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

# Addresses with values in them, who asked, and texts of exceptions, which name values.
PRIVATE = frozenset(
    {
        "client.address",
        "client.port",
        "network.peer.address",
        "network.peer.port",
        "url.full",
        "url.query",
        "user_agent.original",
    }
)
# Seen by the developer of the machine alone.
LOCAL = frozenset({"celery.retry.reason", "exception.message", "exception.stacktrace", "url.path"})
LOCAL_EVENTS = frozenset({"arguments", "e-mail", "log", "result"})
SQL = "db.query.text"

_LITERAL = re.compile(
    r"""
    [eEbBxX]?'(?:[^']|'')*'                # a string
    | \$(\w*)\$.*?\$\1\$                   # a string between $tags$
    | (?<![\w.$%"])-?\d+(?:\.\d+)?(?!\w)   # a number, not the end of a name
    | /\*.*?\*/ | --[^\n]*                 # a comment
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(1000)
def without_values(sql: str) -> str:
    """Return a statement with `?` for each literal value in it; parameters are %s already."""
    return _LITERAL.sub("?", sql)


def clean(
    attributes: Mapping[str, Any] | None, also: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return attributes without what is PRIVATE or in `also`, and SQL without values."""
    kept = {
        name: value
        for name, value in (attributes or {}).items()
        if name not in PRIVATE and name not in also
    }
    if SQL in kept:
        kept[SQL] = without_values(str(kept[SQL]))
    return kept
