"""Is `.env` valid?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable

from ..checkout import Checkout
from ..errors import Problem
from ..terminal import Terminal
from .result import Result, State, of, ok, warning

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is `.env` valid, and safe to append to?"""
    if problems(here.checkout):
        return of(problems(here.checkout), "")
    if here.checkout.dotenv.warnings:
        return of(here.checkout.dotenv.warnings, "", State.WARNING)
    path = _path(here.checkout)
    if not path.exists():
        return ok("no .env: the defaults apply")
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        return warning(
            ".env does not end with a newline: appended text would extend its last value",
            "./dev doctor --fix   or: echo >> .env",
        )
    return ok(f".env sets {len(here.checkout.dotenv.values)} variables")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Add the missing newline at the end."""
    path = _path(here.checkout)
    if here.checkout.dotenv.problems or path.read_bytes().endswith(b"\n"):
        return []
    try:
        with path.open("ab") as file:
            file.write(b"\n")
    except OSError as error:
        raise here.checkout.unwritable(error) from error
    return ["added a newline at the end of .env"]


def problems(checkout: Checkout) -> list[Problem]:
    """Every error in `.env`, with its line."""
    return checkout.dotenv.problems


def warn(checkout: Checkout, terminal: Terminal) -> None:
    """Print Compose's warnings about `.env`, with their lines."""
    for problem in checkout.dotenv.warnings:
        terminal.warn(problem)


def _path(checkout: Checkout) -> Path:
    return checkout.root / ".env"
