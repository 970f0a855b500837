"""Is there a Python for work outside containers: the embedded engine, tests, checks?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from .. import environment
from ..errors import DevError
from .result import Result, ok, warning, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Does `.venv` contain the locked packages, or is there a Python that can create it?"""
    checkout = here.checkout
    if not environment.installed(checkout):
        try:
            base = environment.find_python(checkout)
        except DevError as error:
            problem = error.problems[0]
            report = warning if here.composed else wrong
            return report(problem.what, problem.remedy)
        return ok(f".venv does not exist yet; {base} can create it")
    if not environment.runs(checkout):
        return wrong(
            "the Python of .venv does not start: its base interpreter is gone",
            "delete it, the next start recreates it: rm -r .venv",
        )
    if environment.made_elsewhere(checkout):
        return warning(
            ".venv was moved or copied: its programs use the Python of the old path",
            "./dev doctor --fix   or the next start recreates it",
        )
    if not environment.as_locked(checkout):
        return warning(
            f".venv has other packages than {environment.REQUIREMENTS} locks",
            "./dev doctor --fix   or the next start installs them",
        )
    return ok(".venv has the locked packages")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Install the locked packages into an existing `.venv`."""
    if environment.as_locked(here.checkout) or not environment.runs(here.checkout):
        return []
    environment.ensure(here.checkout, here.terminal)
    return [f"installed {environment.REQUIREMENTS} into .venv"]
