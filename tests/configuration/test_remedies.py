"""Each command of ./dev in a message exists and has the options in the message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from compose_files import CHECKOUT

from devtools.commands import COMMANDS
from devtools.commands.parsers import parser_of

# Acceptance runs invalid commands on purpose.
LEFT_OUT = {"tests", "acceptance"}
SOURCES = [
    path
    for folder in ("backend", "devtools")
    for path in sorted((CHECKOUT / folder).rglob("*"))
    if path.suffix in (".py", ".html", ".sh") and not LEFT_OUT & set(path.parts)
]
NAMES = {*COMMANDS, "help"}
# A command in a message, up to its end; "./dev" followed by a verb in a sentence is text.
NAMED = re.compile(
    r"(?:^|[:;`(>] ?|  |\n|[Rr]un |with |then )\./dev (?:--engine \S+ )?"
    r"(?P<command>[a-z]+)(?P<rest>[^;:,()|`<\n]*)"
)


def messages(path: Path) -> Iterator[str]:
    """The strings of a module except docstrings, with X for each value; else the text."""
    text = path.read_text()
    if path.suffix != ".py":
        yield text
        return
    tree = ast.parse(text)
    seen = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            seen.add(node.value)  # a docstring
        elif isinstance(node, ast.JoinedStr):
            seen |= set(node.values)
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in seen:
            yield node.value


def faults(message: str) -> Iterator[str]:
    for found in NAMED.finditer(message):
        name = found["command"]
        if name not in NAMES:
            yield f"no such command: {found[0]}"
        elif name in COMMANDS and not COMMANDS[name].passes_on:
            given = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", found["rest"]))
            yield from (f"no such option {one}: {found[0]}" for one in given - options_of(name))


@cache
def options_of(name: str) -> set[str]:
    return {"-h", "--help", *parser_of(COMMANDS[name])._option_string_actions}


def test_every_command_that_a_message_names_can_be_typed():
    found = {
        str(path.relative_to(CHECKOUT)): wrong
        for path in SOURCES
        if (wrong := [fault for message in messages(path) for fault in faults(message)])
    }
    assert not found


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("start it: ./dev upp, then go on", "no such command: : ./dev upp"),
        ("delete it: ./dev down --volume", "no such option --volume: : ./dev down --volume"),
        ("./dev --engine embedded up; or wait", None),
        ("what ./dev does by itself", None),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(message, fault):
    assert list(faults(message)) == ([fault] if fault else [])
