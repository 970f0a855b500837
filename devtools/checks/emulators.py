"""Do the AWS emulators answer, and are they seeded?"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

from ..errors import NoAnswer
from ..services import EMULATORS
from .result import NotApplicable, Result, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings

TIMEOUT = 5  # seconds
FILLED, FAILED = "seeded", "its seed failed"


def check(here: Surroundings) -> Result:
    """Does each emulator answer, and is it seeded? Each seeds itself when it starts."""
    names = [one.name for one in here.status.services if one.name in EMULATORS]
    if not names:
        raise NotApplicable("the stack has no AWS services")
    answers = {name: ask(*here.address(name), EMULATORS[name]) for name in names}
    silent = [name for name, answer in answers.items() if answer is None]
    if silent:
        listed = ", ".join(silent)
        return wrong(f"no answer: {listed}", f"./dev logs {' '.join(silent)}\n./dev up")
    empty = " ".join(name for name, answer in answers.items() if not filled(answer or ""))
    if empty:
        return wrong(
            f"not seeded: {empty}", f"./dev logs {empty}   shows the error\n./dev restart {empty}"
        )
    return ok(f"{', '.join(names)} answer and are seeded")


def ask(host: str, port: int, path: str) -> str | None:
    """The HTTP response to `path`, which may be unknown to the server; None without a server.

    Raises NoAnswer if it takes too long.
    """
    if not port:
        return None
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            return None
        return answer.read().decode(errors="replace")
    except TimeoutError as error:
        raise NoAnswer(
            f"{host}:{port} did not answer within {TIMEOUT} s", "./dev doctor emulators"
        ) from error
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def state(host: str, port: int, path: str) -> str:
    """FILLED; FAILED, which lasts until the next start; or a description of a temporary state."""
    try:
        answer = ask(host, port, path)
    except NoAnswer:
        return f"no answer within {TIMEOUT} s"
    if answer is None:
        return "silent"
    if filled(answer):
        return FILLED
    return FAILED if '"ERROR"' in answer else "not seeded"


def filled(answer: str) -> bool:
    """Whether this response comes from a seeded emulator.

    LocalStack lists its scripts. moto does not know the path, and answers only once it is seeded.
    """
    try:
        scripts = json.loads(answer)["scripts"]
    except (ValueError, KeyError, TypeError):
        return True
    return any(script.get("state") == "SUCCESSFUL" for script in scripts)
