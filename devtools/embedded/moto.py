"""S3, Parameter Store and Cognito: one moto process instead of two containers."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from .. import emulators, ports
from ..errors import DevError
from ..services import AWS, COGNITO, EMULATORS
from .stack import Program, Stack

PROGRAM = "init-scripts/aws/emulator.py"


def program(stack: Stack) -> Program:
    """The server as a process, with the variables of both containers.

    It seeds itself, and repeats what was changed.
    """
    service = stack.declaration.services[AWS]
    cognito = stack.declaration.hosted.get(COGNITO)
    variables = {**service.environment, **(cognito.environment if cognito else {})}
    both = replace(service, declaration={**service.declaration, "environment": variables})
    port = stack.ports[AWS]
    path = stack.checkout.root / PROGRAM
    command = [str(stack.python), str(path), "--host", ports.LOOPBACK, "--port", str(port)]
    command += ["--changes", str(stack.places.data / "aws.jsonl")]
    address = (ports.LOOPBACK, port, EMULATORS[COGNITO])

    def prepare() -> None:
        if not path.exists():  # reported here, not by a crash later
            raise DevError(f"{PROGRAM} is missing", f"git checkout HEAD {PROGRAM}")

    return Program(
        service,
        stack.script(both, Path("/"), shlex.join(command)),
        ready=lambda _: emulators.state(*address) == emulators.FILLED,
        prepare=prepare,
    )
