"""The emulator of this checkout: MiniStack as a process, PostgreSQL and Redis as containers of
docker-compose.prod.yml, in place of RDS and ElastiCache. Its tasks join their network, which leads
nowhere else, and are reached by the load balancer at MiniStack's port on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import environment, ports, processes, project_table
from ..checkout import Checkout
from ..emulators import ask
from ..errors import DevError
from ..production import secret_values
from ..production.stack import ProductionStack
from ..readiness import wait_until
from ..terminal import Terminal

ENVIRONMENT_FILE = ".dev/cloud.env"
LOG = ".dev/cloud.log"
DATA = ("db", "redis")
# The load balancer does not look at it.
CERTIFICATE = "arn:aws:acm:eu-west-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"

_FACTS = "cloud"
_FIRST_PORT = 4700
_TIMEOUT = 60  # seconds, for a start and for a stop of MiniStack
_ROLE = re.compile(r"(?<=://)(\w+)(?=@)")


class Emulator:
    """MiniStack and the data of its tasks; may be down."""

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        self.checkout, self.terminal = checkout, terminal
        chosen = checkout.chosen(project_table.VARIABLE)
        self.project = f"{chosen or project_table.stack_name(checkout.root)}-cloud"
        variables = {**checkout.variables, project_table.VARIABLE: self.project}
        self.stack = ProductionStack(Checkout(checkout.root, variables), ENVIRONMENT_FILE)
        self.port = int(checkout.recall(_FACTS).get("port", 0))

    @property
    def endpoint(self) -> str:
        """Its address for boto3, and for requests whose host is a tenant's."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    @property
    def runs(self) -> bool:
        """Whether MiniStack answers."""
        return ask(ports.LOOPBACK, self.port, "/_ministack/health") is not None

    def start(self, region: str) -> None:
        """Start what does not run. Raises DevError on failure."""
        if sys.platform != "linux":
            raise DevError(
                "the emulator needs Linux: it calls containers by their addresses",
                "run it on a Linux machine, or use an account: --account 123456789012",
            )
        self._write_environment()
        with self.terminal.step("starting PostgreSQL and Redis"):
            self.stack.compose("up", "--detach", "--wait", *DATA, timeout=300)
        if not self.runs:
            python = environment.ensure(self.checkout, self.terminal)
            beside = environment.ensure_beside(self.checkout, self.terminal, environment.EMULATOR)
            with self.terminal.step("starting MiniStack"), ports.Claims() as claims:
                self.port = ports.next_free(_FIRST_PORT, free=claims.take)
                self.checkout.remember(_FACTS, {"port": self.port})
                self._launch(python, beside, region)

    def _write_environment(self) -> None:
        path = self.checkout.state / Path(ENVIRONMENT_FILE).name
        if not path.exists():
            secret_values.write(self.checkout, "localhost", ENVIRONMENT_FILE)
            with path.open("a") as file:
                file.write("EMAIL_URL=smtp://mail:1025\n")

    def _launch(self, python: Path, beside: Path, region: str) -> None:
        variables = {
            **{k: v for k, v in self.checkout.variables.items() if not k.startswith("AWS_")},
            "PYTHONPATH": str(beside),
            "BIND_HOST": ports.LOOPBACK,
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_REGION": region,
            # Else NAME.localhost is a bucket.
            "MINISTACK_HOST": "aws.invalid",
            # Identifies its containers, and its process.
            "MINISTACK_HOSTNAME": self.project,
            # It takes this container for its own, and starts tasks in the same network.
            "HOSTNAME": self.stack.containers("db")[0],
            "CLOUD_VOLUMES": self.project,
            "TMPDIR": str(self.checkout.state),
        }
        with (self.checkout.root / LOG).open("w") as log:
            child = subprocess.Popen(
                [str(python), "-m", "devtools.cloud.emulator"],
                cwd=self.checkout.root,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with contextlib.suppress(DevError):
            wait_until(lambda: self.runs or child.poll() is not None, _TIMEOUT, "no answer")
        if not self.runs:
            words = self.checkout.read(LOG).splitlines()[-5:]
            raise DevError("MiniStack did not start", "\n".join([*words, f"less {LOG}"]))

    def parameters(self, definitions: Mapping[str, Any]) -> dict[str, str]:
        """The values of the parameters of `definitions`: those of docker-compose.prod.yml."""
        found = {}
        for definition in definitions.values():
            (container,) = definition["containerDefinitions"]
            script = container["command"]
            declared = next(
                service["environment"]
                for service in self.stack.configuration["services"].values()
                if service.get("command") == script
            )
            prefix = container["logConfiguration"]["options"]["awslogs-group"]
            for secret in container["secrets"]:
                value = declared.get(secret["name"])
                if value is not None:  # Compose gives null for what is not set
                    name = secret["valueFrom"].removeprefix(f"{prefix}/")
                    found[name] = _with_password(value, declared)
        return found

    def stop(self) -> None:
        """Remove all that `start` made, and the containers of the tasks."""
        self._write_environment()  # Compose reads it
        mark = {"MINISTACK_HOSTNAME": self.project}
        with self.terminal.step("stopping MiniStack, PostgreSQL and Redis"):
            for process in processes.marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
            with contextlib.suppress(DevError):
                wait_until(lambda: not processes.marked(mark), _TIMEOUT, "no end")
            if running := processes.marked(mark):
                raise DevError("MiniStack does not stop", f"kill -9 {running[0]}")
            own = f"label=ministack.instance={self.project}:{self.port}"
            left = self.stack.docker("ps", "--all", "--quiet", "--filter", own).output.split()
            if left:
                self.stack.docker("rm", "--force", "--volumes", *left)
            self.stack.compose("down", "--volumes", "--timeout", "5", timeout=120)
        for name in (ENVIRONMENT_FILE, LOG):
            (self.checkout.root / name).unlink(missing_ok=True)
        self.checkout.forget(_FACTS)


def _with_password(url: str, declared: Mapping[str, str]) -> str:
    """A URL with the password of its role, as backend/core/env puts it there."""
    return _ROLE.sub(
        lambda found: (
            f"{found[1]}:"
            + (declared.get(f"{found[1].upper()}_PASSWORD") or declared["REDIS_PASSWORD"])
        ),
        url,
    )
