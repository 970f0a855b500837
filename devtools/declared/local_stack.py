"""The services of docker-compose.yml, to run as processes instead of containers.

Commands, environments, defaults, ports, health checks and dependencies are read from that file,
so that both engines run the same stack.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable

from ..checkout import Checkout
from ..interpreter import Interpreter, Local
from ..services import AWS, COGNITO, IMAGE
from . import compose
from .compose import by_dependency, one_shots, port_variable, with_builds, with_defaults

FILE = compose.LOCAL
SUBJECT = "declaration"

# YAML needs a library, which only .venv has, not the Python that runs ./dev.
READER = "yaml"
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}

# Services without a process here, because another service's process includes them.
HOSTED = {COGNITO: AWS}


@dataclass(frozen=True)
class Port:
    """A port of a service: `target` in its container, set on this machine by `variable`.

    Other containers reach it at `host`; here the process of `service` listens on it.
    """

    host: str
    service: str
    target: int
    variable: str
    default: int


@dataclass(frozen=True)
class Service:
    """A service as declared, before variables are interpolated."""

    name: str
    one_shot: bool
    declaration: Mapping[str, Any]

    @property
    def built(self) -> bool:
        """Whether it runs this checkout's code."""
        return compose.builds_ours(self.declaration)

    @property
    def needs(self) -> Sequence[str]:
        """The services that must be healthy before it starts, without image builds."""
        declared = self.declaration.get("depends_on") or {}
        found = dict.fromkeys(HOSTED.get(name, name) for name in declared)
        return [name for name in found if name not in (self.name, IMAGE)]

    @property
    def reads_dotenv(self) -> bool:
        return "env_file" in self.declaration

    @property
    def environment(self) -> Mapping[str, str]:
        return self.declaration.get("environment") or {}

    @property
    def command(self) -> list[str]:
        """The words of the command, entrypoint first."""
        return _words(self.declaration.get("entrypoint")) + _words(self.declaration.get("command"))

    @property
    def health_check(self) -> str:
        """The shell command that exits with 0 while it is healthy; empty if there is none."""
        return str((self.declaration.get("healthcheck") or {}).get("test", ""))

    @property
    def start_period(self) -> float:
        """The time limit in seconds for becoming healthy."""
        return seconds((self.declaration.get("healthcheck") or {}).get("start_period", "0s"))

    @property
    def stop_grace_period(self) -> float:
        """The time limit in seconds for stopping."""
        return seconds(self.declaration.get("stop_grace_period", "10s"))

    @property
    def ports(self) -> list[Port]:
        found = []
        for entry in self.declaration.get("ports") or ():
            target, variable = port_variable(entry)
            # An entry that is only the container's port has no other.
            default = with_defaults(str(entry)).rpartition(":")[0].rpartition(":")[2]
            service = HOSTED.get(self.name, self.name)
            found.append(Port(self.name, service, target, variable, int(default or target)))
        return found

    @property
    def volumes(self) -> dict[str, str]:
        """The mounts: path in the container to volume or path of the checkout."""
        entries = (entry.split(":") for entry in self.declaration.get("volumes") or ())
        return {target: source for source, target, *_ in entries}


@dataclass(frozen=True)
class Declaration:
    """All services, in the order of their dependencies.

    `extra` are services with profiles; `hosted` are parts of another service's process here.
    """

    services: Mapping[str, Service]
    extra: Mapping[str, Service]
    hosted: Mapping[str, Service]

    @property
    def long_running(self) -> list[str]:
        return [name for name, service in self.services.items() if not service.one_shot]

    @cached_property
    def ports(self) -> Sequence[Port]:
        return [port for service in self.services.values() for port in service.ports]

    @property
    def addresses(self) -> list[Port]:
        """The ports, including those that other containers reach by an alias."""
        hosted = [port for service in self.hosted.values() for port in service.ports]
        return [*self.ports, *hosted]


def load(checkout: Checkout, python: Path) -> Declaration:
    """As `load_with`, with the Python at `python`, if this account may run it."""
    return load_with(checkout, lambda: Local(python) if os.access(python, os.X_OK) else None)


def load_with(checkout: Checkout, find: Callable[[], Interpreter | None]) -> Declaration:
    """Read FILE with the Python that `find` returns, or from the cache if it has not changed.

    Raises DevError if the file is invalid. Without a Python the declaration is empty.
    """
    digest = hashlib.sha256(checkout.read(FILE).encode()).hexdigest()
    known = checkout.recall(SUBJECT)
    if known.get("digest") != digest and (python := find()):
        [(document, _)] = compose.read(checkout, python, [FILE])
        known = {"digest": digest, "services": document.get("services") or {}}
        checkout.remember(SUBJECT, known)
    return parse(known.get("services") or {})


def parse(declared: Mapping[str, Any]) -> Declaration:
    """The declaration for the `services` of a Compose file."""
    awaited = one_shots(declared)
    declared = with_builds(declared)
    ordered = {
        name: Service(name, name in awaited, declared[name]) for name in by_dependency(declared)
    }
    extra = {name for name, service in ordered.items() if service.declaration.get("profiles")}
    apart = extra | HOSTED.keys() | {IMAGE}
    return Declaration(
        services={name: service for name, service in ordered.items() if name not in apart},
        extra={name: service for name, service in ordered.items() if name in extra},
        hosted={name: service for name, service in ordered.items() if name in HOSTED},
    )


def seconds(duration: str) -> float:
    """A Compose duration (`1m30s`) in seconds."""
    parts = re.findall(r"([\d.]+)(ms|h|m|s)", str(duration))
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _words(command: Any) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(map(str, command or ()))
