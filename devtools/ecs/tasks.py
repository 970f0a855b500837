"""One task definition for each process of production, with the same command and environment.

The format is that of `aws ecs register-task-definition --cli-input-json`:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..declared.compose import ComposeFile, limits, port_variable, with_defaults
from ..declared.dockerfile import Stage
from ..declared.local_stack import seconds
from ..declared.variables import PRODUCTION, Variable
from ..errors import DevError, Problem
from ..interpolation import fill_in, references
from . import fargate
from .target import REGION_VARIABLE, Target

SCRIPTS = ("bin/web", "bin/worker", "bin/release")

# The client side of a kept connection must close it first.
KEEP_ALIVE = "WEB_KEEP_ALIVE"
# Fargate's maximum before it kills a container, in seconds.
LONGEST_STOP = 120


@dataclass(frozen=True)
class Task:
    """A task definition, and notes on what ECS does differently from the Compose file."""

    name: str
    service: str
    definition: dict[str, Any]
    notes: list[str]

    @property
    def container(self) -> dict[str, Any]:
        return self.definition["containerDefinitions"][0]


@dataclass(frozen=True)
class Sources:
    """Production's Compose file, the contract, the stage that containers run, the options."""

    file: ComposeFile
    contract: Mapping[str, Variable]
    image: Stage
    target: Target


def build(sources: Sources) -> list[Task]:
    """The tasks of web, worker and release.

    Raises DevError if a service cannot be converted, or one of the three is missing.
    """
    file, found, problems = sources.file, [], []
    for script in SCRIPTS:
        service = next((name for name in file.services if file.script(name) == script), None)
        if service is None:
            problems.append(Problem(f"{file.name}: no service runs {script}", "add one"))
            continue
        try:
            found.append(_task(sources, service, script))
        except ValueError as error:
            place = f"{file.name}:{file.line('services', service)}"
            problems.append(Problem(f"{place}: {service}: {error}", f"fix it in {file.name}"))
    if problems:
        raise DevError.of(problems)
    return found


def parameters(task: Task) -> Iterator[str]:
    """The SSM parameters that must exist before `task` starts."""
    for secret in task.container["secrets"]:
        yield secret["valueFrom"]


def _task(sources: Sources, service: str, script: str) -> Task:
    name = script.rpartition("/")[2]
    declared, target = sources.file.services[service], sources.target
    most = limits(declared)
    cpus = float(with_defaults(str(most.get("cpus", "0.25"))))
    memory = fargate.mebibytes(with_defaults(str(most.get("memory", "512M"))))
    units, mebibytes = fargate.smallest(cpus, memory)
    notes = []
    if (units, mebibytes) != (cpus * 1024, memory):
        notes.append(
            f"{name}: Fargate has no size with {cpus:g} CPUs and {memory} MiB; "
            f"using {units / 1024:g} and {mebibytes}"
        )
    definition = {
        "family": f"{target.family}-{name}",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "runtimePlatform": {
            "cpuArchitecture": target.architecture,
            "operatingSystemFamily": "LINUX",
        },
        "cpu": str(units),
        "memory": str(mebibytes),
        "executionRoleArn": target.execution_role,
        "taskRoleArn": target.task_role,
        "containerDefinitions": [_container(sources, service, name, notes)],
        "volumes": [_volume(volume, target) for volume in sorted(_volumes(declared))],
    }
    return Task(name, service, definition, notes)


def _container(sources: Sources, service: str, name: str, notes: list[str]) -> dict[str, Any]:
    file, contract, target = sources.file, sources.contract, sources.target
    declared = file.services[service]
    plain, secret = _environment(sources, service, name)
    container: dict[str, Any] = {
        "name": name,
        "image": target.image,
        "essential": True,
        "command": [file.script(service)],
        "user": str(declared.get("user") or sources.image.user),
        "readonlyRootFilesystem": bool(declared.get("read_only")),
        "linuxParameters": _linux(declared),
        "portMappings": [
            {
                "name": name,
                "containerPort": port,
                "hostPort": port,
                "protocol": "tcp",
                "appProtocol": "http",
            }
            for port, _ in map(port_variable, declared.get("ports") or ())
        ],
        "mountPoints": [
            {"sourceVolume": volume, "containerPath": path, "readOnly": False}
            for volume, path in sorted(_volumes(declared).items())
        ],
        "environment": [{"name": key, "value": plain[key]} for key in sorted(plain)],
        "secrets": [{"name": key, "valueFrom": secret[key]} for key in sorted(secret)],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": target.prefix,
                "awslogs-region": target.region,
                "awslogs-stream-prefix": name,
            },
        },
    }
    if KEEP_ALIVE in file.environment(service) and KEEP_ALIVE in contract:
        kept = plain.get(KEEP_ALIVE, contract[KEEP_ALIVE].default)
        notes.append(
            f"{name}: keeps idle connections for {kept} s ({KEEP_ALIVE}); "
            "set idle_timeout.timeout_seconds of its load balancer lower"
        )
    check = declared.get("healthcheck") or {}
    if check.get("test"):
        container["healthCheck"] = _health_check(check)
    container["stopTimeout"] = _stop_timeout(declared, name, notes)
    if declared.get("ulimits"):
        container["ulimits"] = [
            _ulimit(key, value) for key, value in sorted(declared["ulimits"].items())
        ]
    return container


def _environment(
    sources: Sources, service: str, task: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The environment of `service`: plain values, and names of SSM parameters.

    Values that the Compose file sets stay plain. Required variables come from SSM, secret or not.
    Optional variables keep the code's default, or come from the options.
    """
    file, contract, target = sources.file, sources.contract, sources.target
    plain = dict(target.given)
    secret = {name: f"{target.prefix}/{name}" for name in target.from_ssm}
    if REGION_VARIABLE in contract:
        plain.setdefault(REGION_VARIABLE, target.region)
    for name, written in file.environment(service).items():
        variable = contract.get(name)
        if variable is None or PRODUCTION not in variable.deployments or name in plain:
            continue
        if variable.reader != "backend":
            continue  # a password for a URL: SSM has the whole URL
        open_to_choice = references(written) or not written
        must_be_chosen = variable.production_default is None and open_to_choice
        if must_be_chosen or (variable.secret and written):
            secret[name] = _parameter(file, service, task, name, target)
        elif fixed := fill_in(written, lambda _name: None):
            plain[name] = fixed  # written there, or a default that ./dev adopt wrote there
    return plain, secret


def _parameter(file: ComposeFile, service: str, task: str, name: str, target: Target) -> str:
    """The name in SSM. If the task's value differs from web's, the name includes the task."""
    web = next(other for other in file.services if file.script(other) == SCRIPTS[0])
    own = file.environment(service)[name] != file.environment(web).get(name)
    return "/".join([target.prefix, *([task] if own else []), name])


def _linux(declared: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"initProcessEnabled": bool(declared.get("init"))}
    if declared.get("cap_drop"):
        found["capabilities"] = {"drop": list(declared["cap_drop"])}
    found["tmpfs"] = [_tmpfs(str(entry)) for entry in declared.get("tmpfs") or ()]
    return found


def _tmpfs(entry: str) -> dict[str, Any]:
    path, _, options = entry.partition(":")
    named = dict(option.partition("=")[::2] for option in options.split(",") if option)
    return {
        "containerPath": path,
        "size": fargate.mebibytes(named.pop("size", "64M")),
        "mountOptions": [f"{key}={value}" if value else key for key, value in named.items()],
    }


def _volumes(declared: Mapping[str, Any]) -> dict[str, str]:
    """Named volumes and their mount points."""
    entries = (str(entry).split(":") for entry in declared.get("volumes") or ())
    return {source: path for source, path, *_ in entries if re.match(r"\w", source)}


def _volume(name: str, target: Target) -> dict[str, Any]:
    return {
        "name": name,
        "efsVolumeConfiguration": {
            "fileSystemId": target.file_system,
            "rootDirectory": f"/{name.removesuffix('_data')}",
            "transitEncryption": "ENABLED",
            "authorizationConfig": {"iam": "ENABLED"},
        },
    }


def _health_check(check: Mapping[str, Any]) -> dict[str, Any]:
    test = check["test"]
    return {
        "command": ["CMD-SHELL", with_defaults(test)] if isinstance(test, str) else list(test),
        "interval": int(seconds(check.get("interval", "30s"))),
        "timeout": int(seconds(check.get("timeout", "5s"))),
        "retries": int(check.get("retries", 3)),
        "startPeriod": int(seconds(check.get("start_period", "0s"))),
    }


def _stop_timeout(declared: Mapping[str, Any], name: str, notes: list[str]) -> int:
    wanted = int(seconds(declared.get("stop_grace_period", "30s")))
    if wanted > LONGEST_STOP:
        notes.append(f"{name}: stops within {LONGEST_STOP} s, not {wanted}: Fargate's maximum")
    return min(wanted, LONGEST_STOP)


def _ulimit(name: str, value: Any) -> dict[str, Any]:
    limits = value if isinstance(value, Mapping) else {"soft": value, "hard": value}
    return {"name": name, "softLimit": int(limits["soft"]), "hardLimit": int(limits["hard"])}
