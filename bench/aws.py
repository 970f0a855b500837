"""How long the seed takes: with separate emulators, beside those of the user's stack."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devtools import emulators, environment, ports
from devtools.checkout import Checkout
from devtools.declared import local_stack
from devtools.docker.project import Project
from devtools.errors import DevError
from devtools.interpolation import fill_in
from devtools.process import background, capture
from devtools.readiness import wait_until
from devtools.services import AWS, COGNITO, EMULATORS
from devtools.terminal import Terminal

from .measure import Measure

MOTO_COLD = "seed, empty moto"
MOTO_WARM = "seed, filled moto"
LOCALSTACK_COLD = "seed, empty LocalStack and moto"
LOCALSTACK_WARM = "seed, filled LocalStack and moto"

BUDGETS = {
    MOTO_COLD: ("s", 5),
    MOTO_WARM: ("s", 2),
    LOCALSTACK_COLD: ("s", 5),
    LOCALSTACK_WARM: ("s", 2),
}

SCRIPT = "init-scripts/aws/seed.py"
_PATIENCE = 180  # seconds for an emulator to answer


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times, each with emulators that were just started.

    A figure is the whole process, from its start to its end. LocalStack is left out where its
    image is not on this machine.
    """
    python = environment.ensure(checkout, terminal)
    found: dict[str, list[float]] = defaultdict(list)
    image = _localstack(checkout)
    for number in range(1, rounds + 1):
        with terminal.step(f"round {number}"):
            with _moto(checkout, python) as cognito:
                for name in (MOTO_COLD, MOTO_WARM):
                    found[name].append(_seeded(checkout, python, cognito, cognito))
            if not image:
                continue
            with _moto(checkout, python) as cognito, _container(checkout, image) as s3:
                for name in (LOCALSTACK_COLD, LOCALSTACK_WARM):
                    found[name].append(_seeded(checkout, python, s3, cognito))
    return [Measure(name, *budget, found[name]) for name, budget in BUDGETS.items()]


def _seeded(checkout: Checkout, python: Path, s3: int, cognito: int) -> float:
    """Seconds that the whole seed takes with emulators on these ports."""
    declared = local_stack.load(checkout, python).services[AWS]
    variables = {
        **{name: fill_in(value, lambda _: None) for name, value in _strings(declared)},
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": f"http://{ports.LOOPBACK}:{s3}",
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": f"http://{ports.LOOPBACK}:{cognito}",
        "PATH": f"{python.parent}:{checkout.variables.get('PATH', '')}",
    }
    began = time.monotonic()
    done = capture([str(python), SCRIPT], directory=checkout.root, environment=variables)
    taken = time.monotonic() - began
    if not done.ok:
        raise DevError(f"{SCRIPT} failed: {done.output.strip() or done.last_words}")
    return taken


def _strings(service: local_stack.Service) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in service.environment.items()]


@contextlib.contextmanager
def _moto(checkout: Checkout, python: Path) -> Iterator[int]:
    """An empty moto; its port."""
    port = ports.next_free(20000)
    server = [str(python.with_name("moto_server")), "--host", ports.LOOPBACK, "--port", str(port)]
    with background(server, directory=checkout.root, environment=checkout.variables):
        asked = (ports.LOOPBACK, port, EMULATORS[COGNITO])
        wait_until(
            lambda: emulators.state(*asked) == emulators.FILLED, _PATIENCE, "moto does not answer"
        )
        yield port


def _localstack(checkout: Checkout) -> Mapping[str, Any]:
    """What is declared for LocalStack; nothing where its image is not on this machine."""
    if not shutil.which("docker", path=checkout.variables.get("PATH")):
        return {}
    with contextlib.suppress(DevError):
        project = Project(checkout)
        declared = project.configuration["services"][AWS]
        if project.docker("image", "inspect", declared["image"]).ok:
            return declared
    return {}


@contextlib.contextmanager
def _container(checkout: Checkout, declared: Mapping[str, Any]) -> Iterator[int]:
    """An empty LocalStack as declared; its port."""
    project = Project(checkout)
    variables = [f"--env={name}={value}" for name, value in declared["environment"].items()]
    publish = f"--publish={ports.LOOPBACK}::4566"
    run = ("run", "--detach", "--rm", publish, *variables, declared["image"])
    started = project.docker(*run)
    if not started.ok:
        raise DevError(f"LocalStack did not start: {started.last_words}")
    container = started.output.strip()
    try:
        port = int(project.docker("port", container, "4566/tcp").output.split(":")[-1])
        health = ("curl", "--fail", "--silent", "http://127.0.0.1:4566/_localstack/health")
        wait_until(
            lambda: project.docker("exec", container, *health).ok,
            _PATIENCE,
            "LocalStack does not answer",
        )
        yield port
    finally:
        project.docker("rm", "--force", "--volumes", container)
