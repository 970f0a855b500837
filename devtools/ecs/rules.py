"""Errors at registration, start or stop of a task that no other check finds.

Emulators and the schema accept nearly anything here; each rule covers something that AWS rejects.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Callable

from ..declared.variables import PRODUCTION, Variable
from .sizes import SIZES

Definition = Mapping[str, Any]
Contract = Mapping[str, Variable]
Rule = Callable[[Definition, Contract], Iterator[str]]

_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/\S+\Z")
# A parameter by name, in the task's region, or by ARN. A version may follow.
_NAME = r"(?:/[\w.-]+){1,15}"
_VALUE_FROM = re.compile(rf"(?:{_NAME}|arn:aws[\w-]*:ssm:[a-z0-9-]+:\d{{12}}:parameter{_NAME})\Z")


def broken(definition: Definition, contract: Contract) -> list[str]:
    """Every rule that `definition` violates, in sentences that begin with the key."""
    return [said for rule in RULES for said in rule(definition, contract)]


def _family(definition: Definition, _contract: Contract) -> Iterator[str]:
    if not _FAMILY.match(str(definition.get("family", ""))):
        yield "family: only letters, digits, _ and -, at most 255"


def _containers(definition: Definition, _contract: Contract) -> Iterator[str]:
    containers = _of(definition)
    if not any(container.get("essential", True) for container in containers):
        yield "containerDefinitions: none is essential, so the task would stop at once"
    for name, count in Counter(container.get("name") for container in containers).items():
        if count > 1:
            yield f"containerDefinitions: {count} are called {name}"


def _network(definition: Definition, _contract: Contract) -> Iterator[str]:
    if definition.get("networkMode") != "awsvpc":
        yield "networkMode: Fargate supports only awsvpc"
    if "FARGATE" not in (definition.get("requiresCompatibilities") or ()):
        yield "requiresCompatibilities: must include FARGATE"
    for container in _of(definition):
        for port in container.get("portMappings") or ():
            if port.get("hostPort", port.get("containerPort")) != port.get("containerPort"):
                yield f"portMappings: of {container.get('name')}: hostPort must be containerPort"


def _size(definition: Definition, _contract: Contract) -> Iterator[str]:
    cpu, memory = str(definition.get("cpu", "")), str(definition.get("memory", ""))
    if not (cpu.isdigit() and int(cpu) in SIZES):
        yield f"cpu: {cpu or 'nothing'} is not one of {', '.join(map(str, SIZES))}"
    elif not (memory.isdigit() and int(memory) in SIZES[int(cpu)]):
        choices = SIZES[int(cpu)]
        yield f"memory: with cpu {cpu} it must be {choices[0]} to {choices[-1]}, not {memory}"


def _roles(definition: Definition, _contract: Contract) -> Iterator[str]:
    for key in ("executionRoleArn", "taskRoleArn"):
        if key in definition and not _ROLE.match(str(definition[key])):
            yield f"{key}: {definition[key]!r} is not a role"
    needs_role = [
        container.get("name")
        for container in _of(definition)
        if container.get("secrets") or container.get("logConfiguration")
    ]
    if needs_role and not definition.get("executionRoleArn"):
        yield "executionRoleArn: required to read secrets and to write logs"


def _secrets(definition: Definition, _contract: Contract) -> Iterator[str]:
    for container in _of(definition):
        for secret in container.get("secrets") or ():
            if not _VALUE_FROM.match(str(secret.get("valueFrom", ""))):
                yield (
                    f"secrets: {secret.get('name')}: {secret.get('valueFrom')!r} is neither the "
                    "name of an SSM parameter (/PATH/NAME) nor its ARN"
                )


def _variables(definition: Definition, contract: Contract) -> Iterator[str]:
    for container in _of(definition):
        plain = [entry.get("name") for entry in container.get("environment") or ()]
        secret = [entry.get("name") for entry in container.get("secrets") or ()]
        for name, count in Counter(plain + secret).items():
            if count > 1:
                yield f"environment: {name} is set {count} times"
            variable = contract.get(name)
            if variable is None:
                yield f"environment: {name} is not declared"
            elif PRODUCTION not in variable.deployments:
                yield f"environment: {name} does not exist in production"
            elif variable.secret and name in plain:
                yield f"environment: {name} is a secret: move it to secrets"


def _safety(definition: Definition, _contract: Contract) -> Iterator[str]:
    for container in _of(definition):
        name = container.get("name")
        if str(container.get("user", "")).partition(":")[0] in ("", "0", "root"):
            yield f"user: {name} would run as root"
        if container.get("privileged"):
            yield f"privileged: {name}: Fargate does not support privileged containers"
        if container.get("readonlyRootFilesystem") is not True:
            yield f"readonlyRootFilesystem: {name} could write into its image"
        if str(container.get("image", "")).rpartition("/")[2].partition(":")[2] in ("", "latest"):
            yield f"image: {container.get('image')!r} has no version"


def _timing(definition: Definition, _contract: Contract) -> Iterator[str]:
    for container in _of(definition):
        name, stop = container.get("name"), container.get("stopTimeout", 30)
        if not 2 <= stop <= 120:
            yield f"stopTimeout: {name}: 2 to 120 seconds on Fargate, not {stop}"
        check = container.get("healthCheck") or {}
        for key, least, most in (
            ("interval", 5, 300),
            ("timeout", 2, 60),
            ("retries", 1, 10),
            ("startPeriod", 0, 300),
        ):
            if key in check and not least <= check[key] <= most:
                yield f"healthCheck: {name}: {key} is {least} to {most}, not {check[key]}"


def _logs(definition: Definition, _contract: Contract) -> Iterator[str]:
    for container in _of(definition):
        logs = container.get("logConfiguration") or {}
        if logs.get("logDriver") != "awslogs":
            yield f"logConfiguration: {container.get('name')} must use awslogs"
            continue
        for option in ("awslogs-group", "awslogs-region", "awslogs-stream-prefix"):
            if not (logs.get("options") or {}).get(option):
                yield f"logConfiguration: {container.get('name')} lacks {option}"


def _not_on_fargate(definition: Definition, _contract: Contract) -> Iterator[str]:
    for container in _of(definition):
        name = container.get("name")
        linux = container.get("linuxParameters") or {}
        for key in ("devices", "maxSwap", "sharedMemorySize", "swappiness"):
            if key in linux:
                yield f"linuxParameters: {name}: Fargate does not support {key}"
        added = (linux.get("capabilities") or {}).get("add") or ()
        if set(added) - {"SYS_PTRACE"}:
            yield f"linuxParameters: {name}: Fargate adds no capability except SYS_PTRACE"
        for limit in container.get("ulimits") or ():
            if limit.get("name") != "nofile":
                yield f"ulimits: {name}: Fargate supports only nofile, not {limit.get('name')}"


RULES: tuple[Rule, ...] = (
    _family,
    _containers,
    _network,
    _size,
    _roles,
    _secrets,
    _variables,
    _safety,
    _timing,
    _logs,
    _not_on_fargate,
)


def _of(definition: Definition) -> list[Mapping[str, Any]]:
    return list(definition.get("containerDefinitions") or ())
