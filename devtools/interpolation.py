"""Interpolation of variables in Compose files: `$NAME`, `${NAME:-default}` and so on.

https://docs.docker.com/reference/compose-file/interpolation/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


@dataclass(frozen=True)
class Reference:
    """One use of a variable. `operator` is empty, or one of - ? + with or without a colon."""

    name: str
    operator: str = ""
    word: str = ""

    @property
    def default(self) -> str | None:
        """The value of an unset variable; None if it is required."""
        return None if self.operator.endswith("?") else self.word


def references(text: str) -> list[Reference]:
    """Every variable in `text`, including those inside defaults."""
    found = []
    for part in _parts(text):
        if isinstance(part, Reference):
            found += [part, *references(part.word)]
    return found


def invalid(text: str) -> str:
    """The first `${` in `text` that Compose rejects, with the text after it; else empty."""
    for start in re.finditer(r"(?<!\$)(?:\$\$)*(\$\{)", text):
        place = start.start(1)
        name = _NAME.match(text, place + 2)
        if name is None:
            return text[place:]
        end = _closing(text, name.end())
        if end == len(text) or not (end == name.end() or _OPERATOR.match(text, name.end())):
            return text[place:]
    return ""


def fill_in(
    text: str,
    value: Callable[[str], str | None],
    missing: Callable[[Reference], None] = lambda reference: None,
) -> str:
    """`text` with every variable replaced; `value` returns None for an unset one.

    As in Compose, operators without a colon keep an empty value. `missing` is called for each
    variable that is unset and has no default.
    """
    return "".join(
        part if isinstance(part, str) else _filled(part, value, missing) for part in _parts(text)
    )


def _filled(
    reference: Reference,
    value: Callable[[str], str | None],
    missing: Callable[[Reference], None],
) -> str:
    known = value(reference.name)
    is_set = bool(known) if reference.operator.startswith(":") else known is not None
    if reference.operator.endswith("+"):
        return fill_in(reference.word, value, missing) if is_set else ""
    if is_set:
        return known or ""
    if reference.operator.endswith("-"):
        return fill_in(reference.word, value, missing)
    missing(reference)
    return ""


def _parts(text: str) -> Iterator[str | Reference]:
    """`text` as literal pieces and references, in order."""
    place = 0
    while True:
        dollar = text.find("$", place)
        if dollar < 0:
            break
        yield text[place:dollar]
        reference, place = _reference(text, dollar + 1)
        yield reference
    yield text[place:]


def _reference(text: str, place: int) -> tuple[str | Reference, int]:
    """The piece or reference after a dollar at `place`, and its end."""
    if text[place : place + 1] == "$":
        return "$", place + 1
    braced = text[place : place + 1] == "{"
    name = _NAME.match(text, place + braced)
    if not name:
        return "$", place
    if not braced:
        return Reference(name.group()), name.end()
    end = _closing(text, name.end())
    operator = _OPERATOR.match(text, name.end())
    if not operator:
        return Reference(name.group()), end + 1
    return Reference(name.group(), operator.group(), text[operator.end() : end]), end + 1


def _closing(text: str, place: int) -> int:
    """The position of the brace that closes the one opened at `place`."""
    depth = 1
    while place < len(text):
        if text.startswith("${", place):
            depth += 1
            place += 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return place
        place += 1
    return place
