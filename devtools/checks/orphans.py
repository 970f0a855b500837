"""Is something left of this checkout's stack that nothing looks after?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..docker.project import Container
from .result import Result, ok, warning, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Are there containers that no Compose file declares, or processes without supervisor?"""
    if not here.composed:
        return _processes(here)
    found = _orphans(here)
    if not found:
        return ok("no container is left over")
    return warning(
        f"left over: {', '.join(map(_shown, found))}",
        "./dev doctor --fix   removes them; so does ./dev down, with the rest",
    )


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Remove the containers, if whoever is asked agrees."""
    if not here.composed:
        return []  # the next start, or `down`, ends the processes
    found = _orphans(here)
    if not found or not agrees(f"remove the containers {', '.join(map(_shown, found))}"):
        return []
    done = []
    for container in found:
        removed = here.project.docker("rm", "--force", "--volumes", container.id)
        said = f"removed {_shown(container)}" if removed.ok else removed.last_words
        done.append(said)
    return done


def _orphans(here: Surroundings) -> list[Container]:
    """Of services that are gone from the Compose files, and of single commands that ended."""
    project = here.project
    # Every profile: the tests' container is nobody's orphan.
    declared = project.compose("--profile", "*", "config", "--services").output.split()
    return [
        container
        for container in project.all_containers()
        if (not container.running if container.one_off else container.service not in declared)
    ]


def _shown(container: Container) -> str:
    return f"{container.service} ({container.id[:12]}, {container.state})"


def _processes(here: Surroundings) -> Result:
    leftover = here.embedded.runner.leftover
    return wrong(leftover.what, leftover.remedy) if leftover else ok("no process is left over")
