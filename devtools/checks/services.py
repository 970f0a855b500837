"""Does everything that is up do its work?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import health
from ..errors import NoAnswer
from ..health import MIGRATIONS
from ..services import WEB
from .result import Result, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


PATIENCE = 15  # seconds


def check(here: Surroundings) -> Result:
    """Is every service well, and every dependency that web names?"""
    status = here.status
    failing = {name: reason for name, reason in status.failing.items() if name != MIGRATIONS}
    port = here.address(WEB)[1] if WEB not in failing else 0
    if status.health is None and port:
        # Once more, with more time: what is slow is not wrong.
        late = health.answer(port, PATIENCE)
        said = late.failing if late else {WEB: "it does not answer at its health address"}
        failing.update((name, reason) for name, reason in said.items() if name != MIGRATIONS)
    late = status.health.late if status.health else {}
    if failing and failing.keys() <= late.keys():
        raise NoAnswer(_lines(failing), "look again: ./dev doctor services")
    if failing:
        names = [name for name in failing if name in {one.name for one in status.services}]
        return wrong(
            _lines(failing),
            f"what they say: ./dev logs {' '.join(names or [WEB])}\nstart them anew: ./dev up",
        )
    return ok(f"{', '.join(one.name for one in status.services)} are well")


def _lines(failing: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {reason}" for name, reason in failing.items())
