"""Are the ports that the Compose project publishes free?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from .. import chosen_ports, ports, processes
from ..chosen_ports import COMPOSE, EMBEDDED_NOW, OTHER_STACK, Wanted, explain, replace
from ..errors import Problem
from ..supervision import leftovers
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
    return chosen_ports.problems(project.checkout, taken(project), lambda n: _holder(project, n))


def lost(project: Project, numbers: set[int]) -> list[Problem]:
    """The problems of the project's ports that are among `numbers`."""
    found = [port for port in project.published() if port.port in numbers]
    return [_explain(project, _wanted(project, port)) for port in found]


def move(
    project: Project,
    taken: Sequence[Wanted],
    say: Callable[[str], None],
    *,
    free: Callable[[int, str], bool] = ports.is_free,
) -> None:
    """Choose other ports for those that are `taken`. Raises DevError as `replace`."""
    others = [port.port for port in project.published()]
    replace(
        project.checkout,
        COMPOSE,
        taken,
        others,
        free,
        say,
        holder=lambda number: _holder(project, number),
    )
    project.forget_configuration()


def _wanted(project: Project, port: PublishedPort) -> Wanted:
    variable = project.port_variables.get((port.service, port.target), "")
    return Wanted(port.service, variable, port.port, port.host)


def _explain(project: Project, port: Wanted) -> Problem:
    return explain(project.checkout, port, _holder(project, port.number))


def _holder(project: Project, port: int) -> str:
    if _is_embedded(project, port):
        return OTHER_STACK
    form = f'{{{{.Names}}}}\t{{{{.Label "{PROJECT_LABEL}"}}}}'
    found = project.docker("ps", "--filter", f"publish={port}", "--format", form)
    for line in found.output.splitlines():
        name, _, other = line.partition("\t")
        return f"the container {name}" + (f" of the Compose project {other}" if other else "")
    return ports.holder(port)


def _is_embedded(project: Project, port: int) -> bool:
    """Whether the embedded engine's stack of this checkout runs and has `port`."""
    checkout = project.checkout
    running = port in checkout.recall(EMBEDDED_NOW).values()
    return running and bool(processes.marked({leftovers.MARK: str(checkout.root)}))
