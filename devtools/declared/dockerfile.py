"""The environment that the stages of backend/Dockerfile give a container."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field

from ..interpolation import fill_in
from . import compose

FILE = compose.IMAGE

_FROM = re.compile(r"(\S*)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_PAIR = re.compile(r"""(\w+)=("(?:\\.|[^"\\])*"|'[^']*'|\S+)""")


@dataclass
class Stage:
    """A stage including what it inherits; `arguments` are by name, with their defaults."""

    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    user: str = ""


def stages(text: str) -> dict[str, Stage]:
    """The stages of a Dockerfile, by name."""
    found: dict[str, Stage] = {}
    stage = Stage()
    for instruction, rest in _instructions(text):
        if instruction == "FROM":
            base, name = _FROM.findall(rest)[0]
            stage = found[name] = copy.deepcopy(found.get(base, Stage()))
        elif instruction == "ENV":
            stage.variables.update({key: value.strip("\"'") for key, value in _PAIR.findall(rest)})
        elif instruction == "ARG":
            name, _, default = rest.partition("=")
            stage.arguments[name] = default
        elif instruction == "USER":
            stage.user = fill_in(rest, stage.arguments.get)
    return found


def _instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments, on one line and without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (words[0].upper(), words[1].strip())
        for words in (line.strip().split(None, 1) for line in joined.splitlines())
        if len(words) == 2
    ]
