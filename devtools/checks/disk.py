"""Is there room where Docker keeps images and volumes?"""

from __future__ import annotations

import shutil

from ..docker.project import Project
from ..errors import Problem

# The images take about 1 GB; PostgreSQL stops the moment that it cannot write.
ENOUGH = 2 * 1024**3


def problems(project: Project) -> list[Problem]:
    """The daemon's disk, if it is nearly full."""
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
            "make room: docker system prune   (deletes what no container uses)",
        )
    ]
