"""S3, Parameter Store and Cognito: one moto process instead of two containers."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from .. import emulators, ports
from ..declared.local_stack import Service
from ..errors import DevError
from ..services import AWS, COGNITO, EMULATORS
from .stack import Program, Stack

PROGRAM = "init-scripts/aws/emulator.py"


class Moto:
    """Defines how the server is started. It seeds itself, and repeats what was changed."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.service = stack.declaration.services[AWS]

    def program(self) -> Program:
        """The server as a process, with the variables of its container."""
        port = self.stack.ports[AWS]
        address = (ports.LOOPBACK, port, EMULATORS[COGNITO])
        program = self.stack.checkout.root / PROGRAM
        command = [str(self.stack.python), str(program)]
        command += ["--host", ports.LOOPBACK, "--port", str(port)]
        command += ["--changes", str(self.stack.places.data / "aws.jsonl")]
        return Program(
            self.service,
            self.stack.script(self._declared(), Path("/"), shlex.join(command)),
            ready=lambda _: emulators.state(*address) == emulators.FILLED,
            prepare=lambda: _must_exist(program),
        )

    def _declared(self) -> Service:
        cognito = self.stack.declaration.hosted.get(COGNITO)
        variables = {**self.service.environment, **(cognito.environment if cognito else {})}
        return replace(
            self.service, declaration={**self.service.declaration, "environment": variables}
        )


def _must_exist(program: Path) -> None:
    if not program.exists():  # reported here, not by a crash later
        raise DevError(f"{PROGRAM} is missing", f"git checkout HEAD {PROGRAM}")
