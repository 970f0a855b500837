"""Is there a Docker daemon that can run the stack?"""

from __future__ import annotations

import json
import re
import shutil
import sys
from typing import NamedTuple

from ..checkout import Checkout
from ..errors import DevError, NoAnswer, Problem
from ..process import Result

# The first versions with `start_interval` in health checks; older ones ignore or reject it.
MINIMUM_ENGINE = (25, 0)
MINIMUM_COMPOSE = (2, 24)
TIMEOUT = 20  # seconds for a query

_INSTALL = "https://docs.docker.com/engine/install/"


class Daemon(NamedTuple):
    """The daemon's version, or why it does not answer."""

    version: str = ""
    silence: Problem | None = None


def problems(checkout: Checkout) -> list[Problem]:
    """The problems with Docker; empty if the stack can run on it."""
    found = look(checkout)
    if found.silence:
        return [found.silence]
    return outdated(found.version, compose_version(checkout))


def look(checkout: Checkout) -> Daemon:
    """The daemon, whether or not the stack can run on it.

    Raises NoAnswer if it is too slow: the stack may be running on it.
    """
    if not shutil.which("docker", path=checkout.variables.get("PATH")):
        absent = Problem(
            "Docker is not installed",
            f"install Docker Engine {_spell(MINIMUM_ENGINE)} or newer "
            f"with its Compose plugin: {_INSTALL}",
        )
        return Daemon(silence=absent)
    try:
        found = _ask(checkout, "version", "--format", "{{json .}}")
    except NoAnswer:
        raise
    except DevError as error:
        return Daemon(silence=error.problems[0])
    try:
        return Daemon(json.loads(found.output)["Server"].get("Version", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Daemon(silence=_silent_daemon(found))


def compose_version(checkout: Checkout) -> str:
    """The version of Docker Compose; empty without it."""
    found = _ask(checkout, "compose", "version", "--short")
    return found.output.strip() if found.ok else ""


# By a part of the path of the socket, which the client finds by DOCKER_HOST or its context.
_STARTS = {
    "/.colima/": "colima start",
    "/.orbstack/": "open OrbStack",
    "/.rd/": "open Rancher Desktop",
    "podman-machine": "podman machine start",
    "podman": "systemctl --user start podman.socket",
    "/run/user/": "systemctl --user start docker",
    "/.docker/": "open Docker Desktop",
}


def outdated(engine: str, compose: str) -> list[Problem]:
    """The problems with these versions; an empty `compose` is a missing one."""
    absent = Problem(
        "Docker Compose is not installed",
        f"install the plugin docker-compose-plugin, {_spell(MINIMUM_COMPOSE)} or newer: "
        "https://docs.docker.com/compose/install/linux/",
    )
    found = (
        _too_old("Docker Engine", engine, MINIMUM_ENGINE),
        _too_old("Docker Compose", compose, MINIMUM_COMPOSE) if compose else absent,
    )
    return [problem for problem in found if problem]


def _ask(checkout: Checkout, *arguments: str) -> Result:
    return checkout.run(["docker", *arguments], timeout=TIMEOUT)


def _silent_daemon(found: Result) -> Problem:
    words = found.errors.lower()
    if "permission denied" in words:
        return Problem(
            "you are not allowed to use the Docker daemon: permission denied on its socket",
            "add yourself to the group docker and log in again: sudo usermod -aG docker $USER",
        )
    if "cannot connect" in words or "is the docker daemon running" in words:
        address = re.search(r"\w+://\S+?(?=\.? |$)", found.errors, re.MULTILINE)
        where = f" at {address[0]}" if address else ""
        what = f"Docker is installed, but its daemon is not running{where}"
        return Problem(what, f"start it: {_start(where)}; another one: docker context use NAME")
    return Problem(
        f"the Docker daemon does not answer: {found.last_words}",
        "look at `docker version` and `docker context ls`",
    )


def _start(address: str) -> str:
    """How the daemon at the `address` that the Docker client uses is started."""
    for part, start in _STARTS.items():
        if part in address:
            return start
    if sys.platform == "darwin":
        return "open Docker Desktop"
    return "sudo systemctl start docker (or open Docker Desktop)"


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
