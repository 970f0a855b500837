"""The declared stack placed on this machine: which ports, which paths, which environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Callable

from .. import ports
from ..checkout import Checkout
from ..interpolation import fill_in
from ..process import Result, capture
from .declaration import Declaration, Service
from .places import Places

# What a process keeps of the caller's environment. Like a container, it sees nothing else of
# it: a variable that a shell happens to have must not change what the stack does.
KEPT = (
    *("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"),
    *("COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "TERM"),
)
# How a process that this checkout started is told from every other one, even when the
# supervisor that knew it is gone.
MARK = "HOMEPORT_CHECKOUT"
MARK_SERVICE = "HOMEPORT_SERVICE"

BACKEND = "backend"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z").match


@dataclass(frozen=True)
class Program:
    """A service as a process: `script` starts it, `prepare` is done before, `ready` asks it.

    `preparation` says what takes a while in `prepare`, if something does. `ready` gets the time
    of its start in seconds since the epoch. `steady` is how many seconds
    it must run for an end to count as a crash of something that had come up.
    """

    service: Service
    script: str
    ready: Callable[[float], bool]
    prepare: Callable[[], None] = lambda: None
    preparation: str = ""
    stop_signal: str = "TERM"
    stop_group: bool = False
    steady: int = 1
    # What is wrong although the process runs; empty if nothing is known.
    fault: Callable[[], str] = lambda: ""


class Stack:
    """The declaration on the ports `given` by service, run by `python` of `.venv`.

    `variables`, by service, win over all that is declared.
    """

    def __init__(
        self,
        checkout: Checkout,
        places: Places,
        declaration: Declaration,
        python: Path,
        given: Mapping[str, int],
        variables: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        self.checkout = checkout
        self.places = places
        self.declaration = declaration
        self.python = python
        self.ports = given
        self._variables = variables

    @property
    def backend(self) -> Path:
        return self.checkout.root / BACKEND

    def value(self, variable: str) -> str | None:
        """What stands for `variable` in the declaration, before its default; None if nothing."""
        for port in self.declaration.ports:
            # Also one that was picked because another was taken.
            if port.variable == variable and port.service in self.ports:
                return str(self.ports[port.service])
        return self.checkout.set_to(variable)

    def filled(self, text: object) -> str:
        """A declared text with its variables filled in."""
        return fill_in(str(text), self.value)

    def settings(self, service: Service) -> dict[str, str]:
        """The variables that a container of `service` would see, with the places of here."""
        values = self.checkout.dotenv.as_env_file(self.value) if service.reads_dotenv else {}
        if service.built:
            values = {**self._of_this_checkout(service), **values}
        for name, declared in service.environment.items():
            values[name] = self._placed(self.filled(declared), service)
        return {**values, **self._variables.get(service.name, {})}

    def environment(self, service: Service) -> dict[str, str]:
        """The whole environment of a command that runs as `service` does."""
        return {**self.kept(), **self.settings(service), "PATH": self._path()}

    def kept(self) -> dict[str, str]:
        """What of the caller's environment every process sees."""
        return {name: value for name, value in self.checkout.variables.items() if name in KEPT}

    def script(self, service: Service, directory: Path, command: str) -> str:
        """A shell script that becomes `command`, in `directory`, as `service`."""
        variables = {**self.settings(service), MARK_SERVICE: service.name}
        # A shell cannot export what is no identifier, as `A.B`; such a name begins the command.
        odd = {name: variables.pop(name) for name in list(variables) if not _IDENTIFIER(name)}
        if odd:
            command = f"env {' '.join(shlex.quote(f'{n}={v}') for n, v in odd.items())} {command}"
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        if service.built:
            lines.append(f'export PATH={shlex.quote(str(self.python.parent))}:"$PATH"')
        place = shlex.quote(str(directory))
        return "\n".join(
            ["#!/bin/sh", "# Written by ./dev.", *lines, f"cd {place}", f"exec {command}", ""]
        )

    def make_places(self, service: Service) -> None:
        """Make the directories that `service` has as volumes."""
        for source in service.volumes.values():
            try:
                self.place(source).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self.checkout.unwritable(error) from error

    def run(self, service: Service, *command: str, timeout: float = 60) -> Result:
        """Run `command` to its end as `service` does."""
        return capture(
            command,
            directory=self.backend,
            environment=self.environment(service),
            timeout=timeout,
        )

    def run_as_started(self, name: str, *command: str) -> Result:
        """Run `command` to its end with the variables that the service `name` was started with."""
        environment = self.environment_as_started(name)
        return capture(command, directory=self.backend, environment=environment)

    def environment_as_started(self, name: str) -> dict[str, str]:
        """The whole environment of a command that runs as the service `name` was started."""
        script = self.places.script(name).read_text(encoding="utf-8")
        exported = re.findall(r"^export (\w+)=(.*?)$(?=\n(?:export|cd) )", script, re.M | re.S)
        started = {key: "".join(shlex.split(value)) for key, value in exported}
        return {**self.kept(), **started, "PATH": self._path()}

    def _path(self) -> str:
        return f"{self.python.parent}:{self.checkout.variables.get('PATH', '')}"

    def _of_this_checkout(self, service: Service) -> dict[str, str]:
        """What a container has for itself, and a process shares with the whole machine."""
        limits = service.declaration.get("deploy", {}).get("resources", {}).get("limits", {})
        cpus = float(self.filled(limits.get("cpus", "1.0")))
        return {
            "PYTHONUNBUFFERED": "1",
            "WORKER_HEARTBEAT_FILE": str(self.places.heartbeat),
            # As many as Gunicorn starts in a container with the declared limit: without one it
            # would count every processor of this machine.
            "WEB_CONCURRENCY": str(int(2 * cpus + 1)),
        }

    def _placed(self, text: str, service: Service) -> str:
        for port in self.declaration.addresses:
            here = f"{ports.LOOPBACK}:{self.ports.get(port.service, port.default)}"
            names = f"{re.escape(port.host)}|0\\.0\\.0\\.0"
            text = re.sub(rf"(?<![\w.-])(?:{names}):{port.target}(?!\d)", here, text)
        for target, source in service.volumes.items():
            if text == target or text.startswith(f"{target}/"):
                text = str(self.place(source)) + text[len(target) :]
        return text

    def place(self, source: str) -> Path:
        """Where a volume, or a mounted path, of the declaration is on this machine."""
        if source.startswith("."):
            return (self.checkout.root / source).resolve()
        return self.places.data / source.removesuffix("_data")
