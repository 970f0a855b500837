"""Does another checkout use the same Compose project name, and with it the same data?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..docker.project import Project
from ..errors import Problem
from .result import Result, of

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is the project name this checkout's alone?"""
    return of(problems(here.project), f"{here.project.name} is this checkout's alone")


def problems(project: Project) -> list[Problem]:
    """The other checkout, if there is one."""
    here = project.checkout.root.resolve()
    others = sorted(
        {
            container.directory
            for container in project.containers().values()
            # A directory that is gone was moved or deleted: what is left of it is ours to take.
            if Path(container.directory).is_dir() and Path(container.directory).resolve() != here
        }
    )
    return [
        Problem(
            f"the checkout in {other} already runs under the project name {project.name}",
            f"give this one a name of its own in .env: COMPOSE_PROJECT_NAME={project.name}-2\n"
            f"or stop the other: cd '{other}' && ./dev down",
        )
        for other in others
    ]
