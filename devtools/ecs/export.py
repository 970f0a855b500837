"""Validating task definitions, writing them into a directory, and comparing existing ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import texts
from ..checkout import Checkout
from ..declared import compose, dockerfile, variables
from ..declared.compose import ComposeFile
from ..declared.variables import Variable
from ..errors import DevError, Problem
from ..interpreter import Interpreter
from . import fargate, tasks
from .target import Target
from .tasks import Sources, Task

DIRECTORY = ".dev/ecs"
IMAGE = "BACKEND_IMAGE"

_STAGE = "production"


def made(
    checkout: Checkout,
    files: Mapping[str, ComposeFile],
    contract: Mapping[str, Variable],
    target: Target,
) -> list[Task]:
    """The tasks for `target`, not yet validated.

    Raises DevError with all problems of its options and the production Compose file.
    """
    problems = target.problems(contract)
    if problems:
        raise DevError.of(problems)
    stages = dockerfile.stages(checkout.read(dockerfile.FILE))
    return tasks.build(Sources(files[compose.PRODUCTION], contract, stages[_STAGE], target))


def image(checkout: Checkout, files: Mapping[str, ComposeFile]) -> str:
    """The image of production, chosen or by default."""
    return checkout.chosen(IMAGE) or default_image(files)


def default_image(files: Mapping[str, ComposeFile]) -> str:
    """The default image of production's Compose file."""
    file = files[compose.PRODUCTION]
    for service in file.services:
        if file.script(service) in tasks.SCRIPTS:
            return compose.with_defaults(str(file.services[service].get("image", "")))
    return ""


def judge(
    checkout: Checkout, python: Interpreter, contract: Mapping[str, Variable], found: Sequence[Task]
) -> list[Problem]:
    """All errors that the rules, the backend and botocore report for `found`."""
    definitions = json.dumps([task.definition for task in found])
    done = python.run(checkout, "-m", "devtools.ecs.judge", definitions, timeout=300).must(
        "the task definitions cannot be checked",
        "show the whole error: ./dev --engine embedded export ecs",
    )
    others = json.loads(done.output)
    refused = variables.verify(
        checkout, python, {task.name: environment(task.definition, contract) for task in found}
    )
    return [
        Problem(f"{task.name}: {said}", f"it is made from {task.service} in {compose.PRODUCTION}")
        for task, more in zip(found, others)
        for said in [
            *fargate.broken(task.container),
            *(f"would not start: {fault}" for fault in refused.get(task.name, ())),
            *more,
        ]
    ]


def environment(definition: Mapping[str, Any], contract: Mapping[str, Variable]) -> dict[str, str]:
    """The environment of the containers of `definition`, with valid stand-ins for SSM values."""
    found = {}
    for container in definition.get("containerDefinitions") or ():
        for entry in container.get("environment") or ():
            found[entry["name"]] = entry["value"]
        for secret in container.get("secrets") or ():
            name = secret["name"]
            found[name] = contract[name].stand_in if name in contract else ""
    return found


def text(task: Task) -> str:
    """The contents of a task's file; deterministic."""
    return json.dumps(task.definition, indent=2) + "\n"


def write(directory: Path, found: Sequence[Task]) -> list[Path]:
    """Write one file for each task. Raises DevError on failure."""
    paths = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for task in found:
            path = directory / f"{task.name}.json"
            path.write_text(text(task), encoding="utf-8")
            paths.append(path)
    except OSError as error:
        raise DevError(
            f"{error.filename or directory} cannot be written: {error.strerror}",
            "choose another directory: --output DIR",
        ) from error
    return paths


def differences(directory: Path, found: Sequence[Task]) -> list[Problem]:
    """The files in `directory` that differ from a new export."""
    wanted = {f"{task.name}.json": text(task) for task in found}
    problems = [
        Problem(f"{directory / name} is {'outdated' if there else 'missing'}", _AGAIN)
        for name, content in wanted.items()
        if (there := texts.read(directory / name)) != content
    ]
    for path in sorted(directory.glob("*.json")):
        if path.name not in wanted:
            problems.append(Problem(f"{path} does not belong to any task", f"rm {path}"))
    return problems


_AGAIN = "update it, with the same options: ./dev export ecs"
