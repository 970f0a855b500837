"""Are there orphaned containers or processes of this checkout's stack?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..docker.project import Container
from .result import Result, ok, warning, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Are there containers that no Compose file declares, or processes without a supervisor?"""
    if not here.composed:
        return _processes(here)
    found = _orphans(here)
    if not found:
        return ok("no orphaned container")
    return warning(
        f"orphaned: {', '.join(map(_shown, found))}",
        "./dev doctor --fix   removes them; ./dev down does too, with the rest of the stack",
    )


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Remove the containers after confirmation."""
    if not here.composed:
        return []  # the next start, or `down`, stops the processes
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
    """Containers of services that the Compose files no longer declare, and of finished commands."""
    project = here.project
    # All profiles, or the tests' container would count as an orphan.
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
    return wrong(leftover.what, leftover.remedy) if leftover else ok("no orphaned process")
