"""The stack's image: rebuilt only when its inputs have changed."""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from pathlib import Path

from ..checkout import Checkout
from ..environment import COMPARE, added, named
from ..errors import DevError, Problem
from ..interpreter import Interpreter
from ..process import Result, stream
from ..terminal import Terminal
from .project import PROJECT_LABEL, Project, Service

SUBJECT = "images"
LAST_LINES = 30
# The path of the checkout in the development image.
MOUNT = "/app"

_STAGE = re.compile(r"#\d+ \[(?:\S+ )?(\S+ +\d+/\d+)\] (.*)")


def ids(project: Project) -> dict[str, str]:
    """The id of each of the stack's images on this machine, by image name."""
    names = sorted({service.image for service in project.services.values()})
    # Matched by name: `docker images` prints no line for a missing one.
    found = project.docker("image", "inspect", *names)
    present = json.loads(found.output or "[]")
    by_tag = {tag: image["Id"] for image in present for tag in image.get("RepoTags") or ()}
    return {name: by_tag[_tagged(name)] for name in names if _tagged(name) in by_tag}


def made(project: Project) -> list[str]:
    """All images built for the project, newest first: by name, or by id if a newer image has the
    name. This includes a dev container's image, which is based on one of them."""
    found = project.docker(
        *("image", "ls", "--no-trunc", "--filter", f"label={PROJECT_LABEL}={project.name}"),
        *("--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
    )
    images = (line.split(" ", 1) for line in found.output.splitlines())
    return [image_id if "<none>" in name else name for image_id, name in images]


def remove(project: Project) -> list[Problem]:
    """Delete all that were `made`; return the failures."""
    kept = []
    for image in made(project):
        removed = project.docker("image", "rm", image)
        if not removed.ok:
            kept.append(Problem(f"{image} was not deleted: {removed.last_words}"))
    return kept


def up_to_date(project: Project, present: dict[str, str]) -> bool:
    """Whether every image is present and every built one matches its inputs."""
    absent = any(one.image not in present for one in project.services.values())
    return not absent and not _stale(project, present)


def outdated(project: Project, present: dict[str, str]) -> list[str]:
    """The names of the present images that do not match their inputs."""
    return [one.image for one in _stale(project, present) if one.image in present]


def built_names(project: Project) -> list[str]:
    """The names of the images that are built locally."""
    return [service.image for service in _built(project)]


def ensure(project: Project, terminal: Terminal, force: bool = False) -> None:
    """Pull and build missing or outdated images; with `force` build in any case.

    Raises DevError with the last lines of the build if it fails.
    """
    present = ids(project)
    if up_to_date(project, present) and not force:
        return
    _pull_missing(project, terminal, present)
    build_outdated(project, terminal, force)


def build_outdated(project: Project, terminal: Terminal, force: bool = False) -> None:
    """Build missing or outdated images, or all with `force`. Raises DevError as `ensure`."""
    present = ids(project)
    for service in _built(project) if force else _stale(project, present):
        title = f"building {service.image}"
        if not force and service.image in present:
            title += added(missing_packages(project, service.image))
        _build(project, service, terminal, title)
        record = _record(project, service, ids(project)[service.image])
        known = project.checkout.recall(SUBJECT)
        project.checkout.remember(SUBJECT, {**known, service.image: record})


def missing_packages(project: Project, image: str, container: str = "") -> list[str]:
    """The locked packages that `image`, or the running `container`, lacks; as `name version`."""
    if container:
        in_backend = ("--workdir", f"{MOUNT}/backend")
        return named(project.docker("exec", *in_backend, container, "python", *COMPARE))
    python = ImagePython(project, image)
    return named(python.run(project.checkout, *COMPARE, directory="backend"))


class ImagePython(Interpreter):
    """The Python of an image; each run uses a new container without a network."""

    def __init__(self, project: Project, image: str) -> None:
        self._project = project
        self._image = image

    def run(
        self, checkout: Checkout, *arguments: str, directory: str = "", timeout: float = 60
    ) -> Result:
        return self._project.docker(
            *("run", "--rm", "--network", "none", "--entrypoint", "python"),
            *("--volume", f"{checkout.root}:{MOUNT}", "--workdir", f"{MOUNT}/{directory}"),
            *(self._image, *arguments),
            timeout=timeout,
        )


def fingerprint(project: Project, service: Service) -> str:
    """A digest of the inputs of the service's image."""
    build = service.declaration["build"]
    context = Path(build["context"])
    digest = hashlib.sha256(json.dumps(build, sort_keys=True).encode())
    dockerfile = context / build.get("dockerfile", "Dockerfile")
    ignored = (context / ".dockerignore", Path(f"{dockerfile}.dockerignore"))
    # The code is mounted, not copied, so only installed files make an image outdated.
    locks = sorted((project.checkout.root / "requirements").glob("*.txt"))
    for path in (dockerfile, *ignored, *locks):
        digest.update(str(path).encode() + b"\0")
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _record(project: Project, service: Service, image_id: str) -> dict[str, str]:
    return {"built_from": fingerprint(project, service), "id": image_id}


def _stale(project: Project, present: dict[str, str]) -> list[Service]:
    """As `_built`, those whose image is missing or does not match its inputs."""
    known = project.checkout.recall(SUBJECT)
    return [
        service
        for service in _built(project)
        if known.get(service.image) != _record(project, service, present.get(service.image, ""))
    ]


def _built(project: Project) -> list[Service]:
    """One service for each image that is built locally."""
    building = [s for s in project.services.values() if "build" in s.declaration]
    return list({service.image: service for service in building}.values())


def _pull_missing(project: Project, terminal: Terminal, present: dict[str, str]) -> None:
    for service in project.services.values():
        if service.built or service.image in present:
            continue
        with terminal.step(f"pulling {service.image}"):
            project.compose("pull", "--quiet", service.name, timeout=1800).must(
                f"the image {service.image} is missing and cannot be pulled",
                f"check the access to the registry: docker pull {service.image}",
            )
        present[service.image] = ""


def _build(project: Project, service: Service, terminal: Terminal, title: str) -> None:
    log = project.checkout.state / "build.log"
    tail: deque[str] = deque(maxlen=LAST_LINES)
    command = ["docker", "compose", "--progress", "plain", "build", service.name]
    with (
        terminal.step(title) as step,
        log.open("w", encoding="utf-8") as kept,
    ):
        shown = set()

        def follow(line: str) -> None:
            kept.write(line + "\n")
            if line.strip():
                tail.append(line)
            stage = _STAGE.match(line)
            # BuildKit repeats a stage's name whenever it switches between parallel ones.
            if stage and stage.group(1) not in shown:
                shown.add(stage.group(1))
                step.note(f"[{stage.group(1)}] {' '.join(stage.group(2).split())[:60]}")

        status = stream(
            command,
            follow,
            directory=project.checkout.root,
            environment=project.environment,
        )
        if status == 0:
            return
    for line in tail:
        terminal.say(f"  {line}")
    raise DevError(
        f"the image {service.image} could not be built (exit status {status})",
        f"fix the errors in the lines above, then run ./dev up again\n"
        f"the log of the build: {log.relative_to(project.checkout.root)}",
    )


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
