"""What spans must not carry: values, secrets, personal data."""

from __future__ import annotations

import re
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
# What does not leave the machine: also what its developer alone sees.
LOCAL = PRIVATE | {"celery.retry.reason", "exception.message", "exception.stacktrace", "url.path"}
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


def clean(attributes: Any, hidden: frozenset[str] = PRIVATE) -> dict[str, Any]:
    """Return a span's or an event's attributes without what is `hidden`, and SQL without values."""
    # Their own copy: each other way to read them calls several functions for each attribute.
    kept: dict[str, Any] = attributes.copy()
    for name in kept.keys() & hidden:
        del kept[name]
    if SQL in kept:
        kept[SQL] = without_values(str(kept[SQL]))
    return kept
