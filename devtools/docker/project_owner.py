"""Does another checkout use the same Compose project name, and so the same data?"""

from __future__ import annotations

import os
from pathlib import Path

from ..checkout import Checkout
from ..errors import Problem
from ..identity import DIRECTORY
from .project import NAME, PROJECT_LABEL, Project


def another_name(project: Project) -> str:
    """The remedy for two checkouts of one project name, in this one."""
    return f"give this one another name in .env: {NAME}={project.name}-2"


def left_behind(project: Project) -> list[Problem]:
    """The data of this checkout under other project names, if it has none under the current one."""
    return [
        Problem(
            f"the data of this checkout is in volumes of the Compose project {name}; "
            f"the project is now {project.name}, which has none",
            f"to keep using it, put into .env: {NAME}={name}\n"
            f"or delete it: docker compose --project-name {name} down --volumes",
        )
        for name in _earlier_names(project)
    ]


def problems(project: Project) -> list[Problem]:
    """The other checkout of this name, or the stack of this checkout under another name."""
    return [
        *_running(project),
        *(_owning(project) or _copied(project)),
        *_running_under_earlier_names(project),
    ]


def _earlier_names(project: Project) -> list[str]:
    here = project.checkout
    names = {
        one.project
        for one in project.begun
        if one.checkout == here.identity.id or _is_folder(here.root, one.root)
    }
    return [] if project.name in names else sorted(names)


def _running_under_earlier_names(project: Project) -> list[Problem]:
    return [
        Problem(
            f"the stack of this checkout still runs as the Compose project {name}; "
            f"the project is now {project.name}",
            f"to keep it and its data, put into .env: {NAME}={name}\n"
            f"or stop it: docker compose --project-name {name} down",
        )
        for name in _earlier_names(project)
        if project.docker("ps", "--quiet", "--filter", f"label={PROJECT_LABEL}={name}").output
    ]


def _owning(project: Project) -> list[Problem]:
    """The checkouts that created the volumes of the project, whether they are up or not."""
    here = project.checkout
    others = sorted(
        one.root
        for one in project.begun
        if one.project == project.name
        and one.checkout != here.identity.id
        and _is_folder(here.root, one.root) is False
    )
    if others and not project.volumes():  # deleted with plain `docker compose down --volumes`
        return []
    return [
        Problem(
            f"the data of the Compose project {project.name} belongs to the checkout in {other}",
            f"{another_name(project)}\n"
            f"or delete the other and its data: cd '{other}' && ./dev clean",
        )
        for other in others
    ]


def _copied(project: Project) -> list[Problem]:
    """The checkout that this one was copied from with the same name, whether it is up or not."""
    first = project.checkout.identity.copied_from
    if first is None or not os.access(first / DIRECTORY, os.R_OK):
        return []
    if _name(Checkout(first, {})) != _name(project.checkout):
        return []
    return [
        Problem(
            f"this copy of {first} has the same project name, {project.name}, and so the same data",
            another_name(project),
        )
    ]


def _name(checkout: Checkout) -> str:
    """What the project of `checkout` is named after."""
    return checkout.chosen(NAME) or checkout.root.name


def _running(project: Project) -> list[Problem]:
    here = project.checkout.root
    directories = {container.directory for container in project.containers().values()}
    return [
        Problem(
            f"the checkout in {other} already runs under the project name {project.name}",
            f"{another_name(project)}\nor stop the other: cd '{other}' && ./dev down",
        )
        for other in sorted(directories)
        if _is_folder(here, other) is False
    ]


def _is_folder(here: Path, directory: str) -> bool | None:
    """Whether `here` is `directory`; None if there is no such directory.

    If a checkout was moved or deleted, another takes over its containers and volumes.
    """
    try:
        return here.samefile(directory)
    except PermissionError:  # it belongs to another user
        return False
    except OSError:
        return None
