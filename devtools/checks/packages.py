"""Does what runs have the packages that are locked?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..environment import not_installed
from .result import Result, ok, warning

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is a package locked that web's Python lacks, or has in another version?"""
    _ = here.status  # not applicable where nothing runs
    missing = here.engine.missing_packages()
    if missing:
        problem = not_installed(here.engine.lock, missing)
        return warning(problem.what, problem.remedy)
    return ok(f"web has what {here.engine.lock} locks")
