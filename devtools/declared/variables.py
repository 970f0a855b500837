"""The declared variables, read by running the backend's contract, which ./dev cannot import."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..checkout import Checkout
from ..interpreter import Interpreter
from .compose import ComposeFile

FILE = "backend/core/env/contract.py"

# The packages that reading the declarations and the Compose files needs.
MODULES = ("environ", "yaml")

LOCAL_COMPOSE = "local-compose"
LOCAL_EMBEDDED = "local-embedded"
PRODUCTION = "production"


@dataclass(frozen=True)
class Variable:
    """One declared variable; the fields are those of `Variable` in FILE.

    `default` and `production_default` are None if a value is required; `line` is the line of the
    declaration.
    """

    name: str
    group: str
    why: str
    default: str | None
    production_default: str | None
    example: str
    required_in: tuple[str, ...]
    secret: bool
    reader: str
    deployments: tuple[str, ...]
    library: str
    line: int

    @property
    def stand_in(self) -> str:
        """A valid value, for checks where only the user knows the real one."""
        return self.example.replace("{random}", hashlib.sha256(self.name.encode()).hexdigest())

    @property
    def place(self) -> str:
        return f"{FILE}:{self.line}"


def load(
    checkout: Checkout, python: Interpreter, files: Mapping[str, ComposeFile]
) -> dict[str, Variable]:
    """Every declared variable by name. Raises DevError if the declaration is invalid.

    Variables that only Compose `files` read exist where these name them.
    """
    printed = ask(checkout, python, "contract")
    lines = _lines(checkout)
    return {
        fields["name"]: Variable(
            **{
                **fields,
                "required_in": tuple(fields["required_in"]),
                "deployments": tuple(fields["deployments"] or _named(fields["name"], files)),
                "line": lines.get(fields["name"], 1),
            }
        )
        for fields in json.loads(printed)
    }


def verify(
    checkout: Checkout, python: Interpreter, environments: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """The problems that the backend finds in each of `environments`, by label."""
    return json.loads(ask(checkout, python, "verify", json.dumps(environments)))


def example(checkout: Checkout, python: Interpreter) -> str:
    """The generated text of `.env.example`."""
    return ask(checkout, python, "example")


def ask(checkout: Checkout, python: Interpreter, *arguments: str) -> str:
    """The output of `python -m core.env`. Raises DevError if it fails."""
    done = python.run(checkout, "-m", "core.env", *arguments, directory="backend").must(
        f"{FILE} cannot be run", f"see the changes: git diff HEAD {FILE}"
    )
    return done.output


def _named(name: str, files: Mapping[str, ComposeFile]) -> Iterator[str]:
    local = [file for file in files.values() if not file.in_production]
    if any(name in file.named for file in local):
        yield LOCAL_COMPOSE
    if any(name in file.named_for_processes for file in local):
        yield LOCAL_EMBEDDED
    if any(name in file.named for file in files.values() if file.in_production):
        yield PRODUCTION


def _lines(checkout: Checkout) -> dict[str, int]:
    """The line of each variable's declaration."""
    text = checkout.read(FILE)
    found = re.finditer(r'\bVariable\(\s*"(\w+)"', text)
    return {match.group(1): text.count("\n", 0, match.start()) + 1 for match in found}
