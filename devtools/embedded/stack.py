"""The declared stack with the ports, paths and environments of this machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Callable

from .. import addresses, ports, processes, project_table
from ..checkout import Checkout
from ..declared.compose import limits
from ..declared.local_stack import Declaration, Service
from ..interpolation import fill_in
from ..supervision import web
from .places import Places

# The variables of the caller's environment that a process inherits. Like a container, it gets
# no others: a variable that happens to be set in a shell must not affect the stack.
KEPT = (
    *("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"),
    *("COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "TERM"),
)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z").match


@dataclass(frozen=True)
class Program:
    """A service as a process: run `prepare`, start `script`, poll `ready`.

    `preparation` describes a slow `prepare`, for the progress display. `ready` gets the start time
    in seconds since the epoch. A process that exits after `steady` seconds counts as one
    that had started before it crashed.
    """

    service: Service
    script: str
    ready: Callable[[float], bool]
    prepare: Callable[[], None] = lambda: None
    preparation: str = ""
    stop_signal: str = "TERM"
    stop_group: bool = False
    steady: int = 1
    # HOST:PORT of a socket that the supervisor opens; the process gets it as standard input.
    socket: str = ""


class Stack:
    """The declaration with ports `given` by service, run by `python` of `.venv`.

    `variables`, by service, override the declared ones.
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
        return self.checkout.root / "backend"

    @property
    def host(self) -> str:
        """The name of this machine under which web is shown."""
        return addresses.host(self.checkout.root, self.value(project_table.VARIABLE) or "")

    def value(self, variable: str) -> str | None:
        """The value of `variable` in the declaration without its default; None if unset."""
        for port in self.declaration.ports:
            # Including a port that was chosen because another was taken.
            if port.variable == variable and port.service in self.ports:
                return str(self.ports[port.service])
        if variable == project_table.VARIABLE and not self.checkout.chosen(variable):
            return project_table.stack_name(self.checkout.root)
        return self.checkout.set_to(variable)

    def filled(self, text: object) -> str:
        """A declared text with its variables interpolated."""
        return fill_in(str(text), self.value)

    def settings(self, service: Service) -> dict[str, str]:
        """The variables of a container of `service`, with the paths of this machine."""
        values = self.checkout.dotenv.as_env_file(self.value) if service.reads_dotenv else {}
        if service.built:
            values = {**self._of_this_checkout(service), **values}
        for name, declared in service.environment.items():
            values[name] = self._placed(self.filled(declared), service)
        return {**values, **self._variables.get(service.name, {})}

    def environment(self, service: Service) -> dict[str, str]:
        """The whole environment of a command that runs as `service`."""
        return self._with_kept(self.settings(service))

    def kept(self) -> dict[str, str]:
        """The caller's variables that every process inherits."""
        return {name: value for name, value in self.checkout.variables.items() if name in KEPT}

    def script(
        self, service: Service, directory: Path, command: str, before: Sequence[str] = ()
    ) -> str:
        """A shell script that runs `command` in `directory`, as `service`.

        The lines `before` run in the supervisor's environment.
        """
        variables = {**self.settings(service), processes.MARK_SERVICE: service.name}
        # A shell cannot export names such as `A.B`; `env` sets them.
        odd = {name: variables.pop(name) for name in list(variables) if not _IDENTIFIER(name)}
        if odd:
            command = f"env {' '.join(shlex.quote(f'{n}={v}') for n, v in odd.items())} {command}"
        lines = [*before, *web.exports(variables)]
        if service.built:
            lines.append(f'export PATH={shlex.quote(str(self.python.parent))}:"$PATH"')
        place = shlex.quote(str(directory))
        return "\n".join(
            ["#!/bin/sh", "# Written by ./dev.", *lines, f"cd {place}", f"exec {command}", ""]
        )

    def make_places(self, service: Service) -> None:
        """Create the directories for the volumes of `service`."""
        for source in service.volumes.values():
            with self.checkout.writing():
                self.place(source).mkdir(parents=True, exist_ok=True)

    def environment_as_started(self, name: str) -> dict[str, str]:
        """The whole environment of a command with the variables of the last start of `name`."""
        return self._with_kept(web.exported(self.places.script(name)))

    def _with_kept(self, variables: Mapping[str, str]) -> dict[str, str]:
        path = f"{self.python.parent}:{self.checkout.variables.get('PATH', '')}"
        return {**self.kept(), **variables, "PATH": path}

    def _of_this_checkout(self, service: Service) -> dict[str, str]:
        """Variables that a container has separately, while processes share the machine."""
        cpus = float(self.filled(limits(service.declaration).get("cpus", "1.0")))
        return {
            "PYTHONUNBUFFERED": "1",
            "WORKER_HEARTBEAT_FILE": str(self.places.heartbeat),
            # As many as Gunicorn starts in a container with the declared limit; without a limit
            # it would count every processor of this machine.
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
        """The path on this machine of a declared volume or mount."""
        if source.startswith("."):
            return (self.checkout.root / source).resolve()
        return self.places.data / source.removesuffix("_data")
