"""Does web have the locked packages?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..environment import not_installed
from .result import Result, ok, warning

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is a locked package missing from web's Python, or installed in another version?"""
    _ = here.status  # raises NotApplicable if the stack is down
    missing = here.engine.missing_packages()
    if missing:
        problem = not_installed(here.engine.lock, missing)
        return warning(problem.what, problem.remedy)
    return ok(f"web has the packages of {here.engine.lock}")
