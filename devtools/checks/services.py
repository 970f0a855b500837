"""Are all running services healthy?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import health
from ..errors import NoAnswer, Problem
from ..health import MIGRATIONS, UNKNOWN_MIGRATIONS
from ..services import WEB
from .result import Result, of

if TYPE_CHECKING:
    from ..status import StackStatus
    from .surroundings import Surroundings


PATIENCE = 15  # seconds


def check(here: Surroundings) -> Result:
    """Is every service healthy, and every dependency that web reports?"""
    status = here.status
    failing = _but_migrations(status.failing)
    port = here.address(WEB)[1] if WEB not in failing else 0
    if status.health is None and port:
        # Retry with more time: a slow answer is not an error.
        answer = health.answer(port, PATIENCE)
        said = answer.failing if answer else {WEB: "it does not answer at its health address"}
        failing |= _but_migrations(said)
    late = status.health.late if status.health else {}
    if failing and failing.keys() <= late.keys():
        raise NoAnswer(_lines(failing), "try again: ./dev doctor services")
    return of(
        [Problem(f"{name}: {why}", _remedy(status, name, why)) for name, why in failing.items()],
        f"{', '.join(one.name for one in status.services)} are healthy",
    )


def _remedy(status: StackStatus, name: str, reason: str) -> str:
    started = {one.name: one.since for one in status.services if not one.well or one.name == WEB}
    if name not in started:
        return health.remedy(name, reason)
    return f"./dev logs {name}   and then ./dev restart {name}" if started[name] else "./dev up"


def _but_migrations(failing: Mapping[str, str]) -> dict[str, str]:
    # The check `migrations` reports them, with its remedies.
    apart = (MIGRATIONS, UNKNOWN_MIGRATIONS)
    return {name: reason for name, reason in failing.items() if name not in apart}


def _lines(failing: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {reason}" for name, reason in failing.items())
