"""The checkout's `.env`, read as Compose reads it, with every fault named by its line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from .errors import Problem

_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")
_OPEN_TEMPLATE = re.compile(r"(?<!\\)\$\{[^}\n]*\Z", re.MULTILINE)
_AFTER_QUOTE = re.compile(r"[ \t]*(#.*)?\Z")


@dataclass
class Dotenv:
    """What a `.env` defines, and the faults that keep it from being read."""

    values: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load(path: Path) -> Dotenv:
    """Read `path`; a missing file defines nothing and is no fault."""
    try:
        return parse(path.read_bytes(), path.name)
    except FileNotFoundError:
        return Dotenv()
    except OSError as error:
        problem = Problem(
            f"{path.name} cannot be read: {error.strerror}",
            f"make it a file that you can read, or move it away: mv {path.name} {path.name}.old",
        )
        return Dotenv(problems=[problem])


def parse(content: bytes, name: str = ".env") -> Dotenv:
    """Read the bytes of a `.env`; `name` is used in the problems."""
    content = content.replace(b"\r\n", b"\n")
    binary = _binary_line(content)
    if binary:
        problem = Problem(
            f"{name}, line {binary}: not text in UTF-8",
            f"save {name} as UTF-8 text, or begin again: cp .env.example {name}",
        )
        return Dotenv(problems=[problem])
    return _Reader(content.decode("utf-8-sig").split("\n"), name).read()


def _binary_line(content: bytes) -> int:
    """The first line that holds a NUL or bytes that are not UTF-8; 0 if there is none."""
    faults = [content.index(b"\0")] if b"\0" in content else []
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        faults.append(error.start)
    return content.count(b"\n", 0, min(faults)) + 1 if faults else 0


class _Reader:
    def __init__(self, lines: list[str], name: str) -> None:
        self._lines = lines
        self._name = name
        self._found = Dotenv()

    def read(self) -> Dotenv:
        number = 0
        while number < len(self._lines):
            number += self._read_entry(number)
        return self._found

    def _read_entry(self, number: int) -> int:
        """Read what begins on line index `number`; return how many lines it takes."""
        line = self._lines[number].strip()
        if not line or line.startswith("#"):
            return 1
        line = re.sub(r"\Aexport(\s+|\Z)", "", line)
        name, separator, value = _split(line)
        if not separator and _NAME.match(name):
            return 1  # a bare name takes its value from the environment
        if not separator:
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
            return self._read_quoted(number, name, value)
        else:
            self._store(number, name, re.split(r"\s+#", value, maxsplit=1)[0].strip())
        return 1

    def _read_quoted(self, number: int, name: str, value: str) -> int:
        quote = value[0]
        text = "\n".join([value, *self._lines[number + 1 :]])
        closing = re.search(r"(?<!\\)" + quote, text[1:])
        if not closing:
            self._fault(number, f"the quote {quote} is never closed", f"end the value with {quote}")
            return 1
        inner, rest = text[1 : closing.start() + 1], text[closing.end() + 1 :].split("\n")[0]
        if not _AFTER_QUOTE.match(rest):
            self._fault(
                number,
                f"text after the closing quote: {rest.strip()!r}",
                f"put the whole value of {name} in one pair of quotes",
            )
        elif quote == "'":
            self._found.values[name] = inner
        else:
            self._store(number, name, inner)
        return inner.count("\n") + 1

    def _store(self, number: int, name: str, value: str) -> None:
        if _OPEN_TEMPLATE.search(value):
            self._fault(
                number,
                "`${` is never closed",
                f"write ${{NAME}}, or put the value of {name} in single quotes",
            )
        self._found.values[name] = value

    def _fault(self, number: int, what: str, remedy: str) -> None:
        self._found.problems.append(Problem(f"{self._name}, line {number + 1}: {what}", remedy))


def _split(line: str) -> tuple[str, str, str]:
    """Name, separator and value; `NAME: value` is accepted as Compose accepts it."""
    match = re.match(r"([^=:]*)([=:])(.*)\Z", line, re.DOTALL)
    if not match:
        return line, "", ""
    return match.group(1).strip(), match.group(2), match.group(3).strip()
