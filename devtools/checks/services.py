"""Does everything that is up do its work?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..health import MIGRATIONS
from ..services import WEB
from .result import Result, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is every service well, and every dependency that web names?"""
    status = here.status
    failing = {name: reason for name, reason in status.failing.items() if name != MIGRATIONS}
    if status.health is None and WEB not in failing:
        failing[WEB] = "it does not answer at its health address"
    if failing:
        names = [name for name in failing if name in {one.name for one in status.services}]
        return wrong(
            "\n".join(f"{name}: {reason}" for name, reason in failing.items()),
            f"what they say: ./dev logs {' '.join(names or [WEB])}\nstart them anew: ./dev up",
        )
    return ok(f"{', '.join(one.name for one in status.services)} are well")
