"""Reads the checkout's `.env` like Compose, and reports every error with its line.

https://github.com/compose-spec/compose-go/blob/main/dotenv/parser.go
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from .errors import Problem
from .interpolation import Reference, fill_in, invalid

# Describes every variable of a `.env`; generated.
EXAMPLE = ".env.example"

# A variable's value outside the file, None if it has none.
Lookup = Callable[[str], "str | None"]

_NAME = re.compile(r"[\w.\-\[\]]+\Z")
_SPACE = " \t\v\f\r\x85\xa0"
_QUOTED = re.compile(r"""(['"])((?:\\.|(?!\1)[^\\])*)\1([^\n]*)""", re.DOTALL)
_ESCAPE = re.compile(r"\\([abcfnrtv$\\]|0\d{0,3})")
_ESCAPED = dict(zip("abfnrtv$\\", ["\a", "\b", "\f", "\n", "\r", "\t", "\v", "$$", "\\"]))
_OCTAL = re.compile(r"0[0-3][0-7]{2}\Z")


@dataclass
class Dotenv:
    """The contents of a `.env`, its errors, and warnings about likely mistakes."""

    values: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    content: bytes = b""

    def as_env_file(self, lookup: Lookup) -> dict[str, str]:
        """The variables for a service that names it as `env_file`.

        Compose reads the file again for that, and interpolates from everything it knows: `lookup`
        is the shell, then the first reading.
        """
        return parse(self.content, lookup).values


def assignment(*names: str) -> re.Pattern[str]:
    """The lines that set one of `names`, for editing a file: its other lines stay."""
    value = r"(?:'[^']*'|\"[^\"]*\")?.*\n?"
    either = "|".join(names)
    return re.compile(rf"^[ \t]*(?:export\s+)?(?:{either})[ \t]*[=:][ \t]*{value}", re.MULTILINE)


def misspelt(names: Iterable[str], example: str) -> list[Problem]:
    """The warnings about `names` that are nearly those of the template `example`."""
    declared = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    near = {
        name: difflib.get_close_matches(name, declared, n=1, cutoff=0.85)
        for name in names
        if name not in declared
    }
    return [
        Problem(f".env sets {name}, which is undeclared: did you mean {found[0]}?", "correct .env")
        for name, found in near.items()
        if found
    ]


def load(path: Path, lookup: Lookup) -> Dotenv:
    """Read `path`; a missing file defines nothing and is not an error."""
    try:
        return parse(path.read_bytes(), lookup, path.name)
    except FileNotFoundError:
        return Dotenv()
    except OSError as error:
        problem = Problem(
            f"{path.name} cannot be read: {error.strerror}",
            f"make it a readable file, or move it away: mv {path.name} {path.name}.old",
        )
        return Dotenv(problems=[problem])


def parse(content: bytes, lookup: Lookup, name: str = ".env") -> Dotenv:
    """Read the bytes of a `.env`; `lookup` takes precedence over its own definitions.

    `name` is used in the problems.
    """
    binary = _binary_line(content)
    if binary:
        problem = Problem(
            f"{name}, line {binary}: not UTF-8 text",
            f"save {name} as UTF-8 text, or start over: cp {EXAMPLE} {name}",
        )
        return Dotenv(problems=[problem])
    return _Reader(content, lookup, name).read()


def _binary_line(content: bytes) -> int:
    """The first line with a NUL or bytes that are not UTF-8; 0 if there is none."""
    faults = [content.index(b"\0")] if b"\0" in content else []
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        faults.append(error.start)
    return content.count(b"\n", 0, min(faults)) + 1 if faults else 0


class _Reader:
    def __init__(self, content: bytes, lookup: Lookup, name: str) -> None:
        self._lines = content.decode("utf-8-sig").split("\n")
        self._lookup = lookup
        self._name = name
        self._found = Dotenv(content=content)

    def read(self) -> Dotenv:
        number = 0
        while number < len(self._lines):
            number += self._read_entry(number)
        return self._found

    def _read_entry(self, number: int) -> int:
        """Read the entry at line index `number`; return how many lines it takes."""
        line = self._lines[number].strip()
        if not line or line.startswith("#"):
            return 1
        line = re.sub(r"\Aexport\s+", "", line)
        name, separator, value = _split(line)
        if not separator and _NAME.match(name):
            self._inherit(number, name)
        elif not separator:
            self._fault(number, "has no `=`", f"write NAME=value: {line!r}")
        elif not name:
            self._fault(number, "has no name before `=`", f"write NAME=value: {line!r}")
        elif not _NAME.match(name):
            self._fault(
                number,
                f"{name!r} is not a variable's name",
                "use letters, digits and `_`, without spaces: " + re.sub(r"\W+", "_", name),
            )
        elif value[:1] in ("'", '"'):
            return self._read_quoted(number, name, value[0])
        else:
            self._store(number, name, value.partition(" #")[0].rstrip())
        return 1

    def _inherit(self, number: int, name: str) -> None:
        """Use the value of a bare name from outside the file."""
        if number == len(self._lines) - 1:
            what = "a name without a value, on a last line without a newline"
            self._fault(number, what, f"write NAME=value, or add a newline: echo >> {self._name}")
        known = self._lookup(name)
        if known is not None:
            self._found.values[name] = known

    def _read_quoted(self, number: int, name: str, quote: str) -> int:
        # From the original first line: a line's trailing spaces are part of the value.
        text = "\n".join(self._lines[number:])
        found = _QUOTED.match(text, text.index(quote))
        if not found:
            self._fault(number, f"the quote {quote} is never closed", f"end the value with {quote}")
            return 1
        inner = _unescape_quote(found[2], quote)
        rest = found[3].strip()
        if rest and not rest.startswith("#"):
            self._fault(
                number,
                f"text after the closing quote: {rest!r}",
                f"put the whole value of {name} in one pair of quotes",
            )
        elif quote == "'":
            self._found.values[name] = inner
        else:
            self._store(number, name, _ESCAPE.sub(_unescape, inner))
        return found[2].count("\n") + 1

    def _store(self, number: int, name: str, value: str) -> None:
        """Store `value` with its variables interpolated."""
        literal = f"write `$$` for a `$`, or put the value of {name} in single quotes"
        if invalid(value):
            what = f"`{invalid(value)}` is not a variable: `${{` needs a name and `}}`"
            self._fault(number, what, literal)
            return

        def missing(reference: Reference) -> None:
            what = f"`${reference.name}` names nothing"
            if reference.operator:
                said = reference.word or "it is required"
                self._fault(number, f"{what}: {said}", f"set {reference.name}")
            else:
                self._found.warnings.append(
                    self._problem(number, f"{what}, and {name} lacks it", literal)
                )

        self._found.values[name] = fill_in(value, self._value, missing)

    def _value(self, name: str) -> str | None:
        known = self._lookup(name)
        return self._found.values.get(name) if known is None else known

    def _fault(self, number: int, what: str, remedy: str) -> None:
        self._found.problems.append(self._problem(number, what, remedy))

    def _problem(self, number: int, what: str, remedy: str) -> Problem:
        return Problem(f"{self._name}, line {number + 1}: {what}", remedy)


def _unescape_quote(text: str, quote: str) -> str:
    return re.sub(r"\\(.)", lambda m: quote if m[1] == quote else m[0], text, flags=re.DOTALL)


def _unescape(match: re.Match[str]) -> str:
    """Unescape like Go inside double quotes: `\\012` needs three digits."""
    if match[1].startswith("0"):
        return chr(int(match[1], 8)) if _OCTAL.match(match[1]) else f"\\{match[1][1:]}"
    return _ESCAPED.get(match[1], match[0])


def _split(line: str) -> tuple[str, str, str]:
    """Name, separator and value; `NAME: value` is accepted, as in Compose."""
    match = re.match(r"([^=:]*)([=:])(.*)\Z", line, re.DOTALL)
    if not match:
        return line, "", ""
    return match.group(1).strip(), match.group(2), match.group(3).lstrip(_SPACE)
