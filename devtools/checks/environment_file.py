"""Can `.env` be read?"""

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
    """Can `.env` be read, by people's tools too?"""
    if problems(here.checkout):
        return of(problems(here.checkout), "")
    if here.checkout.dotenv.warnings:
        return of(here.checkout.dotenv.warnings, "", State.WARNING)
    path = _path(here.checkout)
    if not path.exists():
        return ok("no .env: the defaults hold")
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        return warning(
            "the last line of .env does not end: what a tool appends is added to its value",
            "./dev doctor --fix   or: echo >> .env",
        )
    return ok(f".env sets {len(here.checkout.dotenv.values)} variables")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """End the last line."""
    path = _path(here.checkout)
    if here.checkout.dotenv.problems or path.read_bytes().endswith(b"\n"):
        return []
    try:
        with path.open("ab") as file:
            file.write(b"\n")
    except OSError as error:
        raise here.checkout.unwritable(error) from error
    return ["ended the last line of .env"]


def problems(checkout: Checkout) -> list[Problem]:
    """Every fault of `.env`, by line."""
    return checkout.dotenv.problems


def warn(checkout: Checkout, terminal: Terminal) -> None:
    """Print what Compose warns of in `.env`, with its line."""
    for problem in checkout.dotenv.warnings:
        terminal.warn(problem)


def _path(checkout: Checkout) -> Path:
    return checkout.root / ".env"
