"""Is there room where Docker keeps images and volumes?"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ..docker.project import Project
from ..errors import Problem
from .result import Result, State, not_applicable, of

if TYPE_CHECKING:
    from .surroundings import Surroundings

# The images take about 1 GB; PostgreSQL stops as soon as it cannot write.
ENOUGH = 2 * 1024**3


def check(here: Surroundings) -> Result:
    """Is there room for Docker's images and volumes?"""
    root = here.docker_info.get("DockerRootDir", "")
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return not_applicable("Docker keeps its data in a virtual machine or on another host")
    # A warning, as in `up`: the stack may still start and have enough space.
    well = f"{free / 1024**3:.0f} GB free in {root}"
    return of(problems(here.project), well, State.WARNING)


def problems(project: Project) -> list[Problem]:
    """A problem if the daemon's disk is nearly full."""
    root = project.docker("info", "--format", "{{.DockerRootDir}}").output.strip()
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return []  # the daemon's disk is in a virtual machine or on another host
    if free >= ENOUGH:
        return []
    return [
        Problem(
            f"only {free / 1024**3:.1f} GB are free where Docker keeps its data ({root})",
            "free some space: docker system prune   (deletes what no container uses)",
        )
    ]
