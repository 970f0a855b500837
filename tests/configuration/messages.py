"""The messages in the source: texts that may be printed, and the remedies among them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# Errors and results: the first argument is the finding, the others are remedies.
_FINDING = re.compile(r"(Error|Answer|Problem|warning|wrong)$")


def messages(path: Path) -> set[str]:
    """The strings of a module except docstrings, with X for each value; else the text."""
    text = path.read_text()
    if path.suffix != ".py":
        return {text}
    tree = ast.parse(text)
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return set(_texts(tree, docstrings))


def remedies(path: Path) -> set[str]:
    """The strings of a module that are a remedy or a part of one."""
    return set(_Remedies(ast.parse(path.read_text())).found()) if path.suffix == ".py" else set()


class _Remedies:
    """Follows the names and functions of a module that give a remedy."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._followed: set[str] = set()

    def found(self) -> Iterator[str]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and _FINDING.search(ast.unparse(node.func)):
                for given in node.args[1:]:
                    yield from self._of(given)
            elif isinstance(node, ast.keyword) and node.arg == "remedy":
                yield from self._of(node.value)
            elif isinstance(node, ast.FunctionDef) and "remedy" in node.name:
                yield from self._follow(node.name)
            elif isinstance(node, ast.Name) and "remed" in node.id.lower():
                yield from self._follow(node.id)

    def _of(self, value: ast.expr) -> Iterator[str]:
        yield from _texts(value)
        for node in ast.walk(value):
            if isinstance(node, ast.Name):
                yield from self._follow(node.id)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
                yield from self._follow(node.attr)

    def _follow(self, name: str) -> Iterator[str]:
        if name in self._followed:
            return
        self._followed.add(name)
        for node in ast.walk(self._tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(one, ast.Name) and one.id == name for one in targets):
                    yield from self._of(node.value)
            elif isinstance(node, ast.FunctionDef) and node.name == name and _gives_text(node):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return) and inner.value:
                        yield from self._of(inner.value)


def _gives_text(function: ast.FunctionDef) -> bool:
    return function.returns is not None and ast.unparse(function.returns) == "str"


def _texts(tree: ast.AST, left_out: set[ast.expr] = frozenset()) -> Iterator[str]:
    if tree in left_out:
        return
    if isinstance(tree, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else _filled_in(part)
            for part in tree.values
        )
    elif isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree.value.replace("{manage}", "manage.py")
    elif isinstance(tree, ast.Dict):
        for value in tree.values:
            yield from _texts(value, left_out)
    else:
        for child in ast.iter_child_nodes(tree):
            yield from _texts(child, left_out)


def _filled_in(part: ast.expr) -> str:
    return "manage.py" if ast.unparse(part).endswith("REMEDIES['manage']}'") else "X"
