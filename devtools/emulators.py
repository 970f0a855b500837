"""Does an AWS emulator answer, and is it seeded? Each seeds itself when it starts."""

from __future__ import annotations

import http.client
import json

from .errors import NoAnswer

TIMEOUT = 5  # seconds
FILLED, FAILED = "seeded", "its seed failed"


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
