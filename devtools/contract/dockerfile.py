"""What the stages of backend/Dockerfile put into the environment of a container."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FILE = "backend/Dockerfile"

_FROM = re.compile(r"FROM\s+(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_PAIR = re.compile(r"""(\w+)=("(?:\\.|[^"\\])*"|'[^']*'|\S+)""")


@dataclass
class Stage:
    """A stage with all that it inherits: variables, the user, the command."""

    name: str
    base: str
    variables: dict[str, str] = field(default_factory=dict)
    user: str = ""
    command: str = ""


def stages(text: str) -> dict[str, Stage]:
    """The stages of a Dockerfile, by name."""
    found: dict[str, Stage] = {}
    stage = Stage("", "")
    for instruction, rest in _instructions(text):
        if instruction == "FROM":
            base, name = _FROM.match(f"FROM {rest}").groups()
            above = found.get(base, Stage("", base))
            stage = Stage(name or "", base, dict(above.variables), above.user, above.command)
            found[stage.name] = stage
        elif instruction == "ENV":
            stage.variables.update({key: value.strip("\"'") for key, value in _PAIR.findall(rest)})
        elif instruction == "USER":
            stage.user = rest
        elif instruction == "CMD":
            stage.command = rest
    return found


def _instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with what follows it, on one line and without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (words[0].upper(), words[1].strip())
        for words in (line.strip().split(None, 1) for line in joined.splitlines())
        if len(words) == 2
    ]
