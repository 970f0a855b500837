"""The web server: how it is chosen, and when it has arrived.

supervisord runs it, so that the stack and the editor outlive every server. It also opens the
socket, so that a request that arrives between two servers waits for the new one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import debuggers, health, ports, texts

SERVER = "SERVER"  # the variable that chooses it
DEFAULT = "gunicorn"
# For a replaced server to finish its requests. One that is paused at a breakpoint does not.
PATIENCE = 5  # seconds


@dataclass(frozen=True)
class Choice:
    """A server, the port of its debugger (None: no debugger), and whether it reloads."""

    server: str
    debug_port: int | None
    reload: bool

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Choice:
        """The choice that a process with these variables makes."""
        server = variables.get(SERVER) or DEFAULT
        port = variables.get(debuggers.PORT_VARIABLE, "")
        reload = variables.get(debuggers.RELOAD_VARIABLE) == "true" or server == "runserver"
        return cls(server, int(port) if ports.valid(port) else None, reload)

    def arrived(self, web_port: int) -> bool:
        """Whether an editor can attach, if it has a debugger, else whether it answers requests."""
        if self.debug_port:
            return ports.listens(self.debug_port)
        answer = health.ask(web_port)
        return answer is not None and answer.server == self.server

    @property
    def arrival(self) -> str:
        """The meaning of `arrived`, in words."""
        return "debugger listens" if self.debug_port else "answers"


def chosen(server: str, debug_port: int | None) -> dict[str, str]:
    """The variables that choose a server and the port of its debugger."""
    return {SERVER: server, **debuggers.variables(debug_port)}


def exports(variables: Mapping[str, str]) -> list[str]:
    """Lines of a shell script that set `variables`."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def exported(script: Path) -> dict[str, str]:
    """The variables that `exports` wrote into `script`; none if it cannot be read."""
    text = texts.read(script)
    found = re.findall(r"^export (\w+)=(.*?)$(?=\n(?:export|cd) |\n*\Z)", text, re.M | re.S)
    return {key: "".join(shlex.split(value)) for key, value in found}
