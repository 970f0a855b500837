"""Is the stack's image up to date?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..docker import image
from .result import Result, not_applicable, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Does the image match the Dockerfile and the locks, and do the containers run it?"""
    project = here.project
    present = image.ids(project)
    built = [name for name in image.built_names(project) if name in present]
    if not built:
        return not_applicable("no image is built yet; ./dev up builds it")
    stale = image.outdated(project, present)
    if stale:
        return wrong(
            f"{', '.join(stale)} was built from another Dockerfile or other requirements",
            "./dev up   rebuilds it; ./dev doctor --fix only rebuilds it",
        )
    services = project.services
    old = [
        name
        for name, container in here.containers.items()
        if name in services and container.image_id != present.get(services[name].image)
    ]
    if old:
        return wrong(f"{', '.join(old)}: still running a replaced image", "./dev up")
    return ok(f"{', '.join(built)} is up to date")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Rebuild outdated images."""
    stale = image.outdated(here.project, image.ids(here.project))
    if stale:
        image.ensure(here.project, here.terminal)
    return [f"rebuilt {name}; ./dev up starts it" for name in stale]
