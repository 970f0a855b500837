"""The production stack of this machine, controlled by the `docker` command."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from ..checkout import Checkout
from ..errors import DevError
from ..process import Result

COMPOSE_FILE = "docker-compose.prod.yml"
ENVIRONMENT_FILE = ".env.production"


class ProductionStack:
    """The services of COMPOSE_FILE, with the variables of an environment file."""

    def __init__(self, checkout: Checkout, environment_file: str = ENVIRONMENT_FILE) -> None:
        self.checkout = checkout
        self.environment_file = environment_file

    @property
    def command(self) -> list[str]:
        """The command that a user types before `up`, `ps` and so on."""
        return ["docker", "compose", "--env-file", self.environment_file, "-f", COMPOSE_FILE]

    @property
    def start(self) -> str:
        """The line that starts it."""
        return " ".join([*self.command, "up --detach --wait"])

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The file with variables interpolated. Raises DevError if it is invalid."""
        return json.loads(self.compose("config", "--format", "json").output)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self.compose("ps", "--quiet", service).output.split()

    def running(self, *services: str) -> dict[str, list[str]]:
        """The running containers of each of `services`. Raises DevError if one has none."""
        found = {service: self.containers(service) for service in services}
        if missing := [service for service, containers in found.items() if not containers]:
            raise DevError(f"not running: {', '.join(missing)}", f"start the stack: {self.start}")
        return found

    def compose(self, *arguments: str, timeout: float = 60, **files: Any) -> Result:
        """Run Compose, at most `timeout` seconds. Raises DevError if it fails.

        Args:
            files: `given` and `into`, as for Checkout.run.
        """
        return self._run([*self.command, *arguments], timeout, **files)

    def docker(self, *arguments: str, timeout: float = 60) -> Result:
        """Run `docker`, at most `timeout` seconds. Raises DevError if it fails."""
        return self._run(["docker", *arguments], timeout)

    def _run(self, command: list[str], timeout: float, **files: Any) -> Result:
        if not (self.checkout.root / self.environment_file).is_file():
            raise DevError(f"there is no {self.environment_file}", "create it: ./dev secrets")
        done = self.checkout.run(command, timeout=timeout, **files)
        done.must(f"`{' '.join(command)}` failed", done.errors.strip())
        return done
