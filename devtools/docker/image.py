"""The stack's own image: built only when what goes into it has changed."""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator
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
# Where the development image has the checkout.
MOUNT = "/app"

_STAGE = re.compile(r"#\d+ \[(?:\S+ )?(\S+ +\d+/\d+)\] (.*)")


def ids(project: Project) -> dict[str, str]:
    """The id of each image of the stack that is on this machine, by image name."""
    names = sorted({service.image for service in project.services.values()})
    # Told apart by what was asked for: an image that is absent prints no line.
    found = project.docker("image", "inspect", *names)
    present = json.loads(found.output or "[]")
    by_tag = {tag: image["Id"] for image in present for tag in image.get("RepoTags") or ()}
    return {name: by_tag[_tagged(name)] for name in names if _tagged(name) in by_tag}


def made(project: Project) -> list[str]:
    """Every image that was built for the project, newest first: by name, or by id where a newer
    one has its name. A dev container's is made from one of them and so among them."""
    found = project.docker(
        *("image", "ls", "--no-trunc", "--filter", f"label={PROJECT_LABEL}={project.name}"),
        *("--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
    )
    images = (line.split(" ", 1) for line in found.output.splitlines())
    return [image_id if "<none>" in name else name for image_id, name in images]


def remove(project: Project) -> list[Problem]:
    """Delete all that were `made`; what stays, and why."""
    kept = []
    for image in made(project):
        removed = project.docker("image", "rm", image)
        if not removed.ok:
            kept.append(Problem(f"{image} stays: {removed.last_words}"))
    return kept


def up_to_date(project: Project, present: dict[str, str]) -> bool:
    """Whether every image is present and every built one was built from what is here now."""
    absent = [one for one in project.services.values() if one.image not in present]
    return not absent and not outdated(project, present)


def outdated(project: Project, present: dict[str, str]) -> list[str]:
    """The names of the images that are present and were built from something else."""
    known = project.checkout.recall(SUBJECT)
    return [
        service.image
        for service in _built(project)
        if service.image in present
        and known.get(service.image) != _record(project, service, present[service.image])
    ]


def built_names(project: Project) -> list[str]:
    """The names of the images that are built here."""
    return [service.image for service in _built(project)]


def ensure(project: Project, terminal: Terminal, force: bool = False) -> None:
    """Pull and build what is missing or outdated, or build anyway with `force`.

    Raises DevError with the last lines of the build if that fails.
    """
    present = ids(project)
    if up_to_date(project, present) and not force:
        return
    _pull_missing(project, terminal, present)
    build_outdated(project, terminal, force)


def build_outdated(project: Project, terminal: Terminal, force: bool = False) -> None:
    """Build what is missing or outdated, or all with `force`. Raises DevError as `ensure`."""
    present = ids(project)
    known = project.checkout.recall(SUBJECT)
    for service in _built(project):
        record = _record(project, service, present.get(service.image, ""))
        if force or known.get(service.image) != record:
            title = f"building {service.image}"
            if not force and service.image in present:
                title += added(missing_packages(project, service.image))
            _build(project, service, terminal, title)
            known[service.image] = _record(project, service, ids(project)[service.image])
            project.checkout.remember(SUBJECT, known)


def missing_packages(project: Project, image: str, container: str = "") -> list[str]:
    """What is locked and `image` has not, or `container`, which runs; as `name version`."""
    if container:
        in_backend = ("--workdir", f"{MOUNT}/backend")
        return named(project.docker("exec", *in_backend, container, "python", *COMPARE))
    python = ImagePython(project, image)
    return named(python.run(project.checkout, *COMPARE, directory="backend"))


class ImagePython(Interpreter):
    """The Python of an image: each run has a container of its own, without a network."""

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
    """A digest of what the service's image is built from."""
    build = service.declaration["build"]
    context = Path(build["context"])
    digest = hashlib.sha256(json.dumps(build, sort_keys=True).encode())
    for path in _inputs(project, context, context / build.get("dockerfile", "Dockerfile")):
        digest.update(str(path).encode() + b"\0")
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _inputs(project: Project, context: Path, dockerfile: Path) -> Iterator[Path]:
    # The code is mounted, not copied: only what is installed makes an image old.
    yield dockerfile
    yield context / ".dockerignore"
    yield Path(f"{dockerfile}.dockerignore")
    yield from sorted((project.checkout.root / "requirements").glob("*.txt"))


def _record(project: Project, service: Service, image_id: str) -> dict[str, str]:
    return {"built_from": fingerprint(project, service), "id": image_id}


def _built(project: Project) -> list[Service]:
    """One service for each image that is built here."""
    building = [s for s in project.services.values() if "build" in s.declaration]
    return list({service.image: service for service in building}.values())


def _pull_missing(project: Project, terminal: Terminal, present: dict[str, str]) -> None:
    for service in project.services.values():
        if service.built or service.image in present:
            continue
        with terminal.step(f"pulling {service.image}"):
            pulled = project.compose("pull", "--quiet", service.name, timeout=1800)
            if not pulled.ok:
                raise DevError(
                    f"the image {service.image} is not on this machine and cannot be pulled: "
                    f"{pulled.last_words}",
                    f"is the registry reachable? try: docker pull {service.image}",
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
            # BuildKit names a stage again at every change between parallel ones.
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
        f"mend what the lines above name, then run ./dev up again\n"
        f"the whole build is in {log.relative_to(project.checkout.root)}",
    )


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
