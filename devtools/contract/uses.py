"""Finds where the checkout's code reads environment variables.

Python is read as syntax trees, other files as text. Tests are skipped, because they set arbitrary
environments. The Python that runs ./dev may be too old for the backend's syntax, so this is a
separate program:

    python -m devtools.contract.uses

It searches the working directory and prints a list of [file, line, name].
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .. import texts
from ..checkout import Checkout
from ..interpreter import Interpreter

PYTHON = ("dev", "backend/**/*.py", "devtools/**/*.py", "init-scripts/**/*.py")
# Only files with a shell in their first line.
SHELL = (".ci/*", ".devcontainer/*", "backend/bin/*", "init-scripts/**/*")
SQL = ("init-scripts/**/*.sql",)
_LEFT_OUT = {"tests", "migrations", "__pycache__", "node_modules"}

_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+\Z")

# Names of environments in code: `environ["X"]`, `env.get("X")`.
_MAPPINGS = {"environ", "env", "environment", "variables", "source"}
# Methods that return an environment: `stack.settings(service)["X"]`.
_RETURN_MAPPINGS = {*_MAPPINGS, "Env", "settings"}
# Functions and methods that take a variable's name. ruff.toml forbids those of other packages,
# so none is hidden under another name.
_FUNCTIONS = {"getenv", "config", "chosen", "where_chosen", "own"}

_SHEBANG = re.compile(r"#!.*\b(?:sh|bash)\b")
_SHELL_USE = re.compile(r"(?<!\\)\$(?:\{[#!]?)?([A-Z][A-Z0-9_]+)")
_SHELL_ASSIGNED = re.compile(
    r"(?:^|[;&|]|\b(?:local|readonly|for|read)\b)\s*([A-Z][A-Z0-9_]+)(?:=|\s+in\b)", re.MULTILINE
)
_CONTRACT_GET = re.compile(r"core\.env get ((?:[A-Z][A-Z0-9_]+ ?)+)")
_SQL_USE = re.compile(r"^\\getenv \w+ (\w+)", re.MULTILINE)


class Use(NamedTuple):
    """A place where a variable is read."""

    file: str
    line: int
    name: str


def find(checkout: Checkout, python: Interpreter) -> list[Use]:
    """Every use, ordered by file and line; `python` must be able to run the backend.

    Raises DevError if a file cannot be parsed.
    """
    done = python.run(checkout, "-m", "devtools.contract.uses").must(
        "the code cannot be searched", "./dev lint   names the line"
    )
    return [Use(*fields) for fields in json.loads(done.output)]


def search(root: Path) -> list[Use]:
    """Every use below `root`. Raises SyntaxError for invalid Python."""
    found = {
        *_search(root, PYTHON, _of_python),
        *_search(root, SHELL, _of_shell),
        *_search(root, SQL, _of_sql),
    }
    return sorted(found)


def _search(
    root: Path, patterns: Iterable[str], read: Callable[[str], Iterable[tuple[str, int]]]
) -> Iterator[Use]:
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            inner = path.relative_to(root)
            if path.is_file() and not _LEFT_OUT & set(inner.parts) and "conftest" not in inner.name:
                for name, line in read(texts.read(path)):
                    yield Use(str(inner), line, name)


# Python


def _of_python(text: str) -> Iterator[tuple[str, int]]:
    if not text.strip() or (text.startswith("#!") and "python" not in text.splitlines()[0]):
        return
    tree = ast.parse(text)
    named = dict(_constants(tree))
    for node in ast.walk(tree):
        for name in filter(_CONSTANT.match, _read_by(node, named)):
            yield name, getattr(node, "lineno", 0)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """String constants of the module: `VARIABLE = "DEV_ENGINE"`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                    yield target.id, node.value.value


def _read_by(node: ast.AST, named: dict[str, str]) -> Iterator[str]:
    """The names of variables that an expression reads."""
    if isinstance(node, ast.Subscript) and _is_mapping(node.value):
        yield _string(node.slice, named)
    elif isinstance(node, ast.Call) and node.args:
        function = node.func
        called = getattr(function, "attr", getattr(function, "id", ""))
        # env.get("X"), env.bool("X"); and env("X"), as with django-environ.
        of_mapping = _is_mapping(getattr(function, "value", function))
        if called in _FUNCTIONS or of_mapping:
            yield _string(node.args[0], named)
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
        yield from [_string(node.left, named)] if _is_mapping(node.comparators[0]) else []


def _is_mapping(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        node, mappings = node.func, _RETURN_MAPPINGS
    else:
        mappings = _MAPPINGS
    return getattr(node, "attr", getattr(node, "id", "")) in mappings


def _string(node: ast.expr, named: dict[str, str]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return named.get(node.id, "") if isinstance(node, ast.Name) else ""


# Text


def _of_shell(text: str) -> Iterator[tuple[str, int]]:
    if not _SHEBANG.match(text):
        return
    own = set(_SHELL_ASSIGNED.findall(text))
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for names in _CONTRACT_GET.findall(line):
            for name in names.split():
                yield name, number
        for name in _SHELL_USE.findall(line):
            if name not in own:
                yield name, number


def _of_sql(text: str) -> Iterator[tuple[str, int]]:
    for match in _SQL_USE.finditer(text):
        yield match.group(1), text.count("\n", 0, match.start()) + 1


if __name__ == "__main__":
    json.dump(search(Path.cwd()), sys.stdout)
