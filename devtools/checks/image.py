"""Was the stack's image built from what is here now?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..docker import image
from .result import Result, not_applicable, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Is the image as the Dockerfile and the locks make it, and do the containers run it?"""
    project = here.project
    present = image.ids(project)
    built = [name for name in image.built_names(project) if name in present]
    if not built:
        return not_applicable("no image is built yet; ./dev up builds it")
    stale = image.outdated(project, present)
    if stale:
        return wrong(
            f"{', '.join(stale)} was built from another Dockerfile or other requirements",
            "./dev up   builds it anew; ./dev doctor --fix does only that",
        )
    services = project.services
    old = [
        name
        for name, container in here.containers.items()
        if name in services and container.image_id != present.get(services[name].image)
    ]
    if old:
        return wrong(f"{', '.join(old)}: on an image that was replaced since", "./dev up")
    return ok(f"{', '.join(built)} is built from what is here")


def fix(here: Surroundings, agrees: Callable[[str], bool]) -> list[str]:
    """Build anew what is outdated."""
    stale = image.outdated(here.project, image.ids(here.project))
    if stale:
        image.ensure(here.project, here.terminal)
    return [f"built {name} anew; ./dev up starts it" for name in stale]
