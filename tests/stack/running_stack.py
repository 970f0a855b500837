"""A user's commands and requests to a running stack."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.errors import DevError
from devtools.readiness import wait_until

CHECKOUT = Path(__file__).parents[2]


@dataclass
class Answer:
    """An HTTP answer: status, headers and text."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Stack:
    """A checkout, its Compose project, and the variables of its ports."""

    checkout: Path
    project: str
    ports: dict[str, str]
    first_up: subprocess.CompletedProcess[str] | None = None
    # The user for commands, as for subprocess: user, group, extra_groups; by default the tester.
    account: dict[str, Any] = field(default_factory=dict)

    def run(
        self, *command: str, check: bool = True, timeout: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; on failure the error contains its output.

        Args:
            check: whether a non-zero exit status fails the test.
            timeout: seconds.
            variables: added to the environment.
        """
        ended = subprocess.run(
            command,
            cwd=self.checkout,
            env={**self.environment(), **variables},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
            **self.account,
        )
        if check and ended.returncode != 0:
            raise AssertionError(
                f"{command} ended {ended.returncode}\n{ended.stdout}{ended.stderr}"
            )
        return ended

    def environment(self) -> dict[str, str]:
        """Return the environment of a command, with the project and ports of this stack."""
        # With the sample tenants, also in a product with a single one.
        own = {"COMPOSE_PROJECT_NAME": self.project, "SINGLE_TENANT": "", "NO_COLOR": "1"}
        own |= self.ports
        return {**os.environ, **own}

    def dev(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `./dev ARGUMENTS`."""
        return self.run("./dev", *arguments, **options)

    def compose(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `docker compose ARGUMENTS`."""
        return self.run("docker", "compose", *arguments, **options)

    def containers(self, *services: str) -> dict[str, str]:
        """Return the ids of the running containers, by service."""
        listed = self.compose("ps", "--format", "{{.Service}} {{.ID}}", *services).stdout
        return dict(line.split() for line in listed.splitlines())

    def url(self, path: str = "/", tenant: str | None = None) -> str:
        """Return a URL of web, as published on this machine."""
        host = f"{tenant}.localhost" if tenant else "127.0.0.1"
        return f"http://{host}:{self.ports['WEB_PORT']}{path}"

    def get(self, path: str = "/", timeout: float = 10, **headers: str) -> Answer:
        """Call web; any status is a response, no connection is an OSError."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url(path), headers=names)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response.status, dict(response.headers), response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read().decode())

    def health(self) -> dict[str, Any]:
        """Return the readiness report."""
        return self.get("/api/v1/health/").json()

    def healthy(self) -> bool:
        """Whether readiness is ok."""
        return self.health()["status"] == "ok"

    def ensure_up(self) -> None:
        """Run `./dev up`, unless the stack is healthy and its default server runs."""
        try:
            health = self.health()
        except (OSError, ValueError):
            health = {}
        if (health.get("status"), health.get("server")) != ("ok", "gunicorn"):
            self.dev("up")

    def python(self, code: str, service: str = "web") -> str:
        """Run Python code in Django's shell of a running service; return its output."""
        ended = self.compose(
            *("exec", "-T", service, "python", "manage.py", "shell", "--verbosity=0"),
            *("--command", code),
        )
        return ended.stdout.strip()

    def log_entries(self, *services: str) -> list[dict[str, Any]]:
        """Return the log lines of services since the last start of each.

        A line that is not JSON fails the test. Earlier processes may have written others: one that
        starts before the emulators prints its missing variables as text.
        """
        # From the daemon, because some versions of Compose put control characters before each line.
        lines = []
        for container in self.compose("ps", "--all", "--quiet", *services).stdout.split():
            started = self.run(
                "docker", "inspect", "--format", "{{.State.StartedAt}}", container
            ).stdout.strip()
            logs = self.run("docker", "logs", "--since", started, container)
            lines += (logs.stdout + logs.stderr).splitlines()
        return [json.loads(line) for line in lines]


def why_no_daemon() -> str:
    """Return why the Docker daemon is not available; empty if it is."""
    if shutil.which("docker") is None:
        return "Docker is not installed"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else "no Docker daemon answers"


def copy_checkout(target: Path) -> None:
    """Copy tracked and addable files: no data, no virtual environment, no .env."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (CHECKOUT / name).is_file():  # git lists deleted files until the commit
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target / name)


def free_ports(*variables: str) -> dict[str, str]:
    """Return a free port of this machine for each variable."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in variables]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        ports = [str(bound.getsockname()[1]) for bound in sockets]
    return dict(zip(variables, ports, strict=True))


def eventually(condition: Callable[[], Any], within: float = 60) -> Any:
    """Return the condition's first true value; a failing response counts as false.

    Args:
        within: seconds.

    Raises:
        AssertionError: if it is not true in time.
    """
    last: object = None

    def look() -> Any:
        nonlocal last
        try:
            last = condition()
        except (OSError, ValueError) as error:
            last = error
            return None
        return last

    try:
        return wait_until(look, within, "not so", interval=0.1)
    except DevError:
        raise AssertionError(f"not so within {within} s; last: {last!r}") from None
