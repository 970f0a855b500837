"""Imports as in the production image, which has fewer packages than a developer's machine."""

from __future__ import annotations

import ast
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from traceback import extract_tb

from django.apps import apps

from development.packages import ROOT, locked_names, normal

BACKEND = ROOT / "backend"
LOCK = "requirements/production.txt"
# What the image does not have: see .dockerignore.
_NOT_IN_IMAGE = ("tests", "test", "conftest", "__main__")


def hide() -> set[str]:
    """Make the modules of packages that production does not lock impossible to import.

    Returns:
        Their names.
    """
    locked = locked_names((ROOT / LOCK).read_text("utf-8"))
    hidden = {
        module
        for module, packages in packages_distributions().items()
        if module not in sys.modules and not {normal(name) for name in packages} & locked
    }
    # With None there, an import fails as if there was no such module.
    # https://docs.python.org/3/reference/import.html#the-module-cache
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    return hidden


def missing(hidden: set[str]) -> Iterator[str]:
    """Yield each import of `hidden` modules in the installed applications of this checkout."""
    for config in apps.get_app_configs():
        if BACKEND not in Path(config.path).parents:
            continue
        for found in pkgutil.walk_packages([config.path], f"{config.name}."):
            parts = found.name.split(".")
            if {*parts} & {*_NOT_IN_IMAGE} or ".settings." in found.name:
                continue
            try:
                module = import_module(found.name)
            except ImportError as error:
                yield explain(error, hidden) or f"{found.name}: {error}"
            else:
                yield from _within_functions(Path(module.__file__ or ""), hidden)


def explain(error: BaseException, hidden: set[str]) -> str:
    """Return where a hidden module was imported; an empty string for another error."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    if name not in hidden:
        # Django and its libraries raise another one from it.
        cause = error.__cause__ or error.__context__
        return explain(cause, hidden) if cause else ""
    frames = [frame for frame in extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return _problem(Path(frames[-1].filename), frames[-1].lineno, name) if frames else _named(name)


def _within_functions(path: Path, hidden: set[str]) -> Iterator[str]:
    """Yield the imports that only a call would make; those in a `try` are expected to fail."""
    for function in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        for statement in function.body:
            match statement:
                case (
                    ast.Import(names=[ast.alias(name=name), *_])
                    | ast.ImportFrom(module=str(name), level=0)
                ):
                    if (top := name.partition(".")[0]) in hidden:
                        yield _problem(path, statement.lineno, top)


def _is_own(file: str) -> bool:
    return BACKEND in Path(file).parents and Path(__file__) != Path(file)


def _problem(path: Path, line: int | None, name: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {_named(name)}"


def _named(name: str) -> str:
    packages = ", ".join(sorted(set(packages_distributions()[name])))
    return (
        f"{name} is not in production, because {LOCK} does not have {packages}: "
        "add it to requirements/base.in, then ./dev lock"
    )
