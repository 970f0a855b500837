"""Are the ports that the Compose project publishes free?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from .. import ports
from ..errors import Problem
from .project import PROJECT_LABEL, Project, PublishedPort


def problems(project: Project, services: Sequence[str] | None = None) -> list[Problem]:
    """The ports of `services`, or of all services, that another program uses."""
    return [explain(project, port) for port in taken(project, services)]


def taken(
    project: Project,
    services: Sequence[str] | None = None,
    free: Callable[[int, str], bool] = ports.is_free,
) -> list[PublishedPort]:
    """The published ports that are neither `free` nor used by this project's containers."""
    busy = [port for port in project.published(services) if not free(port.port, port.host)]
    if not busy:
        return []
    own = {
        published.port
        for container in project.all_containers()
        for published in container.published.values()
    }
    return [port for port in busy if port.port not in own]


def explain(project: Project, port: PublishedPort) -> Problem:
    """Which service needs `port`, what uses it, and how to change either."""
    holder = _holder(project, port.port) or "another program"
    variable = project.port_variables.get((port.service, port.target))
    if not variable:
        return Problem(f"port {port.port} for {port.service} is taken by {holder}")
    other = f"{variable}={ports.next_free(port.port)}"
    ways = [f"choose another port: {other} ./dev up   (or put {other} in .env)"]
    if project.checkout.chosen(variable):
        where = project.checkout.where_chosen(variable)
        ways.append(f"or remove it from {where}: ./dev up --auto-ports then finds a free one")
    else:
        ways.append("or choose free ports automatically: ./dev up --auto-ports")
    what = f"port {port.port} for {port.service} ({variable}) is taken by {holder}"
    return Problem(what, "\n".join(ways))


def move(
    project: Project,
    port: PublishedPort,
    avoid: Sequence[int],
    free: Callable[[int, str], bool] = ports.is_free,
) -> tuple[str, int]:
    """The variable that sets `port`, and a `free` port for it; 0 if it must not be changed."""
    variable = project.port_variables.get((port.service, port.target), "")
    if not variable or project.checkout.chosen(variable):
        return variable, 0
    return variable, ports.next_free(port.port, avoid, port.host, free)


def _holder(project: Project, port: int) -> str:
    found = project.docker(
        "ps",
        "--filter",
        f"publish={port}",
        "--format",
        f'{{{{.Names}}}}\t{{{{.Label "{PROJECT_LABEL}"}}}}',
    )
    for line in found.output.splitlines():
        name, _, other = line.partition("\t")
        return f"the container {name}" + (f" of the Compose project {other}" if other else "")
    return ports.holder(port)
