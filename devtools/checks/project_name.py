"""Does another checkout use the same Compose project name, and with it the same data?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkout import Checkout
from ..docker.project import NAME, Project
from ..errors import Problem
from ..identity import DIRECTORY
from .result import Result, of

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is the project name this checkout's alone?"""
    return of(problems(here.project), f"{here.project.name} is this checkout's alone")


def left_behind(project: Project, before: str) -> list[Problem]:
    """The data that this checkout has under the name that its project had `before`."""
    if before in ("", project.name) or not project.volumes(before):
        return []
    return [
        Problem(
            f"the data of this checkout is in volumes of the Compose project {before}; "
            f"it is now {project.name}, which has data of its own",
            f"to go on with it, put into .env: COMPOSE_PROJECT_NAME={before}\n"
            f"or delete it: docker compose --project-name {before} down --volumes",
        )
    ]


def problems(project: Project) -> list[Problem]:
    """The other checkout, if there is one."""
    return [*_running(project), *(_owning(project) or _copied(project))]


def _owning(project: Project) -> list[Problem]:
    """The checkouts that made the volumes of the project, whether they are up or not."""
    here = project.checkout
    others = sorted(
        root
        for owner, root in project.volume_owners()
        if owner != here.identity.id and _another(here.root, root)
    )
    return [
        Problem(
            f"the data of the Compose project {project.name} belongs to the checkout in {other}",
            f"give this one a name of its own in .env: {NAME}={project.name}-2\n"
            f"or delete the other and its data: cd '{other}' && ./dev clean",
        )
        for other in others
    ]


def _copied(project: Project) -> list[Problem]:
    """The checkout that this one was copied from, name and all, whether its stack is up or not."""
    first = project.checkout.identity.copied_from
    if first is None or not os.access(first / DIRECTORY, os.R_OK):
        return []
    if _name(Checkout(first, {})) != _name(project.checkout):
        return []
    return [
        Problem(
            f"this copy of {first} has the same project name, {project.name}, and with it its data",
            f"give this one a name of its own in .env: {NAME}={project.name}-2",
        )
    ]


def _name(checkout: Checkout) -> str:
    """What the project of `checkout` is called after."""
    return checkout.chosen(NAME) or checkout.root.name


def _running(project: Project) -> list[Problem]:
    here = project.checkout.root
    directories = {container.directory for container in project.containers().values()}
    return [
        Problem(
            f"the checkout in {other} already runs under the project name {project.name}",
            f"give this one a name of its own in .env: {NAME}={project.name}-2\n"
            f"or stop the other: cd '{other}' && ./dev down",
        )
        for other in sorted(directories)
        if _another(here, other)
    ]


def _another(here: Path, directory: str) -> bool:
    """Whether a checkout other than `here` is in `directory`.

    One that is gone was moved or deleted: what is left of it is for this one to take.
    """
    try:
        return not here.samefile(directory)
    except PermissionError:  # it is another user's
        return True
    except OSError:
        return False
