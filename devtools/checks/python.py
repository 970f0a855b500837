"""Is there a Python for what runs outside containers: the embedded engine, tests, checks?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from .. import environment
from ..errors import DevError
from .result import Result, ok, warning, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Does `.venv` hold what is locked, or is there a Python that can make it?"""
    checkout = here.checkout
    if not environment.installed(checkout):
        try:
            base = environment.find_python(checkout)
        except DevError as error:
            problem = error.problems[0]
            report = warning if here.composed else wrong
            return report(problem.what, problem.remedy)
        return ok(f".venv is not made yet; {base} can make it")
    if not environment.runs(checkout):
        return wrong(
            "the Python of .venv does not start: the one that it was made with is gone",
            "delete it, the next start makes it anew: rm -r .venv",
        )
    if environment.made_elsewhere(checkout):
        return warning(
            ".venv was moved or copied: its programs call the Python of another place",
            "./dev doctor --fix   or the next start makes it anew",
        )
    if not environment.as_locked(checkout):
        return warning(
            f".venv holds other packages than {environment.REQUIREMENTS} locks",
            "./dev doctor --fix   or the next start installs them",
        )
    return ok(".venv holds what is locked")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Install what is locked, in a `.venv` that was made here."""
    if environment.as_locked(here.checkout) or not environment.runs(here.checkout):
        return []
    environment.ensure(here.checkout, here.terminal)
    return [f"installed {environment.REQUIREMENTS} into .venv"]
