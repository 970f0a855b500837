"""Do the stand-ins for AWS answer, with what the application expects in them?"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from ..services import EMULATORS, SEED
from .result import NotApplicable, Result, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Does each answer, and was it filled since it started? They keep nothing when they stop."""
    present = {one.name: one for one in here.status.services}
    names = [name for name in EMULATORS if name in present]
    if not names:
        raise NotApplicable("the stack has no AWS services")
    silent = [name for name in names if not _answers(*here.address(name), EMULATORS[name])]
    if silent:
        listed = ", ".join(silent)
        return wrong(f"no answer: {listed}", f"./dev logs {' '.join(silent)}\n./dev up")
    seed = present.get(SEED)
    if seed is None:
        return ok(f"{', '.join(names)} answer")
    started = max(present[name].since or "" for name in names)
    if not seed.well or (seed.since or "") < started:
        why = seed.state if not seed.well else "started anew since they were filled"
        return wrong(
            f"{', '.join(names)} answer and are not filled ({SEED}: {why})",
            f"./dev restart {SEED}   and if that fails: ./dev logs {SEED}",
        )
    return ok(f"{', '.join(names)} answer and are filled")


def _answers(host: str, port: int, path: str) -> bool:
    """Whether an HTTP server is there: one that does not know the path is one, too."""
    if not port:
        return False
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
