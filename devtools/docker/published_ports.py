"""Are the ports that the Compose project publishes free?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Callable

from .. import chosen_ports, ports, processes
from ..chosen_ports import COMPOSE, EMBEDDED_NOW, OTHER_STACK, Wanted, explain, replace
from ..errors import Problem
from ..terminal import Terminal
from .project import PROJECT_LABEL, Project, PublishedPort


def taken(
    project: Project,
    services: Sequence[str] | None = None,
    free: Callable[[int, str], bool] = ports.is_free,
) -> list[Wanted]:
    """The ports of `services`, or of all, that are neither `free` nor used by this project."""
    busy = [port for port in project.published(services) if not free(port.port, port.host)]
    if not busy:
        return []
    own = {
        published.port
        for container in project.all_containers()
        for published in container.published.values()
    }
    return [_wanted(project, port) for port in busy if port.port not in own]


def problems(project: Project) -> tuple[list[Problem], bool]:
    """The users of the project's ports, and whether `up` can replace every taken one."""
    return chosen_ports.problems(project.checkout, taken(project), partial(_holder, project))


def lost(project: Project, numbers: set[int]) -> list[Problem]:
    """The problems of the project's ports that are among `numbers`."""
    found = [port for port in project.published() if port.port in numbers]
    return [
        explain(project.checkout, _wanted(project, port), _holder(project, port.port))
        for port in found
    ]


def settle(
    project: Project, services: Sequence[str] | None, claims: ports.Claims, terminal: Terminal
) -> None:
    """Reserve the ports of `services`, or of all; choose others for those that are taken.

    Raises DevError as `replace`.
    """
    if busy := taken(project, services, claims.take):
        others = [port.port for port in project.published()]
        holder = partial(_holder, project)
        replace(project.checkout, COMPOSE, busy, others, claims.take, terminal, holder=holder)
        project.forget_configuration()
    hold(project, services, claims)


def hold(project: Project, services: Sequence[str] | None, claims: ports.Claims) -> None:
    """Reserve the ports of `services`, or of all, even if in use: a container may be recreated."""
    for port in project.published(services):
        claims.hold(port.port)


def _wanted(project: Project, port: PublishedPort) -> Wanted:
    variable = project.port_variables.get((port.service, port.target), "")
    return Wanted(port.service, variable, port.port, port.host)


def _holder(project: Project, port: int) -> str:
    ours = port in project.checkout.recall(EMBEDDED_NOW).values()
    if ours and processes.marked(processes.marks(project.checkout.root)):
        return OTHER_STACK
    form = f'{{{{.Names}}}}\t{{{{.Label "{PROJECT_LABEL}"}}}}'
    found = project.docker("ps", "--filter", f"publish={port}", "--format", form)
    for line in found.output.splitlines():
        name, _, other = line.partition("\t")
        return f"the container {name}" + (f" of the Compose project {other}" if other else "")
    return ports.holder(port)
