"""The machine: Docker, a Python, memory, disks."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .. import environment, texts
from ..errors import DevError
from ..preflight import daemon, disk_space
from ..preflight.disk_space import GIGABYTE
from .check import Confirm, Result, State, check, of, ok, warning, wrong
from .context import Context, NotApplicable


@check
def docker(context: Context) -> Result:
    """Can Docker run the stack, if the stack uses Docker?"""
    version, silence = context.daemon
    if silence and context.composed:
        return of([silence])
    if silence:
        name = context.engine.name
        raise NotApplicable(f"{silence.what}; the {name} engine does not need Docker")
    compose = daemon.compose_version(context.checkout)
    state = State.WRONG if context.composed else State.WARNING
    return of(daemon.outdated(version, compose), f"Engine {version}, Compose {compose}", state)


@check
def python(context: Context) -> Result:
    """Does `.venv` contain the locked packages, or is there a Python that can create it?"""
    checkout = context.checkout
    if not environment.installed(checkout):
        try:
            base = environment.find_python(checkout)
        except DevError as error:
            return of(error.problems, state=State.WARNING if context.composed else State.WRONG)
        return ok(f".venv does not exist yet; {base} can create it")
    if not environment.runs(checkout):
        return wrong(
            "the Python of .venv does not start: its base interpreter is gone",
            "delete it, the next start recreates it: rm -r .venv",
        )
    if environment.made_elsewhere(checkout):
        return warning(
            ".venv was moved or copied: its programs use the Python of the old path",
            "./dev doctor --fix   or the next start recreates it",
        )
    if not environment.as_locked(checkout):
        return warning(
            f".venv has other packages than {environment.REQUIREMENTS} locks",
            "./dev doctor --fix   or the next start installs them",
        )
    return ok(".venv has the locked packages")


@python.fixed_by
def _install_locked_packages(context: Context, confirm: Confirm) -> list[str]:
    if environment.as_locked(context.checkout) or not environment.runs(context.checkout):
        return []
    environment.ensure(context.checkout, context.terminal)
    return [f"installed {environment.REQUIREMENTS} into .venv"]


# As in README: measured with an idle stack, plus room for a build or a test run.
IN_CONTAINERS = 2 * GIGABYTE
AS_PROCESSES = 0.6 * GIGABYTE


@check
def memory(context: Context) -> Result:
    """Does the machine have enough memory, and enough free memory while the stack is down?"""
    needed = IN_CONTAINERS if context.composed else AS_PROCESSES
    whose = "Docker has" if context.composed else "this machine has"
    own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    total = context.docker_info.get("MemTotal", 0) if context.composed else own
    if not total:
        raise NotApplicable("the system does not report its memory")
    if total < needed * 0.9:  # a machine sold with 2 GB reports slightly less
        return warning(
            f"{whose} {_shown(total)} of memory; the stack needs {_shown(needed)}",
            "give Docker Desktop more memory (Settings, Resources), or use a larger machine"
            if context.composed
            else "use a larger machine",
        )
    available = _available()
    if available and available < needed and not context.database_runs:
        free = f"{_shown(available)} of {_shown(total)}"
        return warning(
            f"only {free} are free; the stack needs {_shown(needed)}",
            "stop what you do not need; largest processes: ps -eo rss,comm | sort -rn | head",
        )
    free = f", {_shown(available)} free" if available else ""
    return ok(f"{whose} {_shown(total)}{free}")


def _available() -> float:
    """The memory in bytes that is free or can be freed; 0 if the system does not tell."""
    found = re.search(r"^MemAvailable: +(\d+) kB", texts.read(Path("/proc/meminfo")), re.M)
    return int(found.group(1)) * 1024 if found else 0


def _shown(size: float) -> str:
    return f"{size / GIGABYTE:.1f} GB"


@check
def disk(context: Context) -> Result:
    """Is there room for Docker's images and volumes, or on the checkout's disk without Docker?"""
    if not context.composed:
        free, found = disk_space.of_checkout(context.embedded.checkout)
        return of(found, f"{free / GIGABYTE:.0f} GB free on the checkout's disk")
    root = context.docker_info.get("DockerRootDir", "")
    in_docker, found = disk_space.of_docker(root)
    if in_docker is None:
        raise NotApplicable("Docker keeps its data in a virtual machine or on another host")
    # A warning, as in `up`: the stack may still start and have enough space.
    return of(found, f"{in_docker / GIGABYTE:.0f} GB free in {root}", State.WARNING)
