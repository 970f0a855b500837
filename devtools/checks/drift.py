"""Do the declared variables, the code that reads them and the files that set them agree?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contract import drift, variables
from .result import NotApplicable, Result, of

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is every variable used, declared and set consistently?"""
    if not (here.checkout.root / variables.FILE).exists():
        raise NotApplicable(f"there is no {variables.FILE}")
    modules = variables.MODULES
    python = here.engine.python_with(*modules)
    if python is None:
        raise NotApplicable("no Python has the needed packages; ./dev env --check installs them")
    evidence = drift.gather(here.checkout, python)
    found = drift.findings(evidence)
    return of([finding.problem for finding in found], drift.summary(evidence))
