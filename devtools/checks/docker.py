"""Is there a Docker daemon that can run the stack?"""

from __future__ import annotations

import json
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

from ..checkout import Checkout
from ..errors import Problem
from ..process import Result, capture
from . import result

if TYPE_CHECKING:
    from .surroundings import Surroundings

# The first versions with `start_interval` in health checks; older ones ignore or reject it.
MINIMUM_ENGINE = (25, 0)
MINIMUM_COMPOSE = (2, 24)
TIMEOUT = 20  # seconds for a query

_INSTALL = "https://docs.docker.com/engine/install/"


def check(here: Surroundings) -> result.Result:
    """Can Docker run the stack, if the stack uses Docker?"""
    if here.silence and here.composed:
        return result.wrong(here.silence.what, here.silence.remedy)
    if here.silence:
        without = f"{here.silence.what}; the {here.engine.name} engine does not need Docker"
        return result.not_applicable(without)
    _, server = _look(here.checkout)
    compose = _ask(here.checkout, "compose", "version", "--short").output.strip()
    state = result.State.WRONG if here.composed else result.State.WARNING
    well = f"Engine {server.get('Version', '')}, Compose {compose}"
    return result.of(problems(here.checkout), well, state)


def problems(checkout: Checkout) -> list[Problem]:
    """The problems with Docker; empty if the stack can run on it."""
    silent, server = _look(checkout)
    if silent:
        return [silent]
    return [
        problem
        for problem in (
            _too_old("Docker Engine", server.get("Version", ""), MINIMUM_ENGINE),
            _compose_problem(checkout),
        )
        if problem
    ]


def silence(checkout: Checkout) -> Problem | None:
    """Why the daemon does not answer; None if it does, whether or not the stack can run on it."""
    return _look(checkout)[0]


def _look(checkout: Checkout) -> tuple[Problem | None, dict[str, Any]]:
    if not shutil.which("docker", path=checkout.variables.get("PATH")):
        absent = Problem(
            "Docker is not installed",
            f"install Docker Engine {_spell(MINIMUM_ENGINE)} or newer "
            f"with its Compose plugin: {_INSTALL}",
        )
        return absent, {}
    found = _ask(checkout, "version", "--format", "{{json .}}")
    server = _server(found)
    return (_silent_daemon(found), {}) if server is None else (None, server)


def _ask(checkout: Checkout, *arguments: str) -> Result:
    return capture(
        ["docker", *arguments],
        directory=checkout.root,
        environment=checkout.variables,
        timeout=TIMEOUT,
    )


def _server(found: Result) -> dict[str, Any] | None:
    try:
        return json.loads(found.output).get("Server")
    except (ValueError, AttributeError):
        return None


def _silent_daemon(found: Result) -> Problem:
    words = found.errors.lower()
    if "permission denied" in words:
        return Problem(
            "you are not allowed to use the Docker daemon: permission denied on its socket",
            "add yourself to the group docker and log in again: sudo usermod -aG docker $USER",
        )
    if "cannot connect" in words or "is the docker daemon running" in words:
        start = (
            "open Docker Desktop"
            if sys.platform == "darwin"
            else "start it: sudo systemctl start docker (or open Docker Desktop)"
        )
        return Problem("Docker is installed, but its daemon is not running", start)
    return Problem(
        f"the Docker daemon does not answer: {found.last_words}",
        "look at `docker version` and `docker context ls`",
    )


def _compose_problem(checkout: Checkout) -> Problem | None:
    found = _ask(checkout, "compose", "version", "--short")
    if not found.ok:
        return Problem(
            "Docker Compose is not installed",
            f"install the plugin docker-compose-plugin, {_spell(MINIMUM_COMPOSE)} or newer: "
            "https://docs.docker.com/compose/install/linux/",
        )
    return _too_old("Docker Compose", found.output.strip(), MINIMUM_COMPOSE)


def _too_old(what: str, version: str, minimum: tuple[int, int]) -> Problem | None:
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if not match or tuple(map(int, match.groups())) >= minimum:
        return None
    return Problem(
        f"{what} {version} is too old: the stack needs {_spell(minimum)} or newer",
        f"update it: {_INSTALL}",
    )


def _spell(version: tuple[int, int]) -> str:
    major, minor = version
    return f"{major}.{minor}" if minor else str(major)
