"""What a test does with a running stack: the commands and requests of a user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    """A checkout, the Compose project that runs from it, and the variables of its ports."""

    checkout: Path
    project: str
    ports: dict[str, str]
    first_up: subprocess.CompletedProcess[str] | None = None
    # Who runs the commands, as subprocess takes it: user, group, extra_groups; empty: the tester.
    account: dict[str, Any] = field(default_factory=dict)

    def run(
        self, *command: str, check: bool = True, timeout: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; its output is in the error when it fails.

        Args:
            check: whether another exit status than 0 fails the test.
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
        """Return the variables a command runs with: project and ports are this stack's own."""
        own = {"COMPOSE_PROJECT_NAME": self.project, **self.ports, "NO_COLOR": "1"}
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
        """Return an address of web, as it is published on this machine."""
        published = self.compose("port", "web", "8000").stdout.strip()
        host = f"{tenant}.localhost" if tenant else "127.0.0.1"
        return f"http://{host}:{published.rpartition(':')[2]}{path}"

    def get(self, path: str = "/", timeout: float = 10, **headers: str) -> Answer:
        """Ask web; any status is an answer, no connection is an OSError."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url(path), headers=names)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response.status, dict(response.headers), response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read().decode())

    def health(self) -> dict[str, Any]:
        """Return what readiness says."""
        return self.get("/api/v1/health/").json()

    def healthy(self) -> bool:
        """Whether readiness says that nothing is wrong."""
        return self.health()["status"] == "ok"

    def python(self, code: str, service: str = "web") -> str:
        """Run Python code in Django's shell of a running service; return what it printed."""
        ended = self.compose(
            *("exec", "-T", service, "python", "manage.py", "shell", "--verbosity=0"),
            *("--command", code),
        )
        return ended.stdout.strip()

    def log_entries(self, *services: str) -> list[dict[str, Any]]:
        """Return the log lines of services since each was last started.

        A line that is not JSON fails the test. An earlier process may have ended with other lines:
        one that starts before the emulators names the variables that it lacks, as text.
        """
        # From the daemon: some versions of Compose put control characters before each line.
        lines = []
        for container in self.compose("ps", "--all", "--quiet", *services).stdout.split():
            started = self.run(
                "docker", "inspect", "--format", "{{.State.StartedAt}}", container
            ).stdout.strip()
            logs = self.run("docker", "logs", "--since", started, container)
            lines += (logs.stdout + logs.stderr).splitlines()
        return [json.loads(line) for line in lines]


def copy_checkout(target: Path) -> None:
    """Copy what git knows or would add: no data, no virtual environment, no .env."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (CHECKOUT / name).is_file():  # a deleted file is listed until it is committed
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
    """Return the condition's first true value; an answer that fails for now counts as false.

    Args:
        within: seconds.

    Raises:
        AssertionError: when it is not true in time.
    """
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except (OSError, ValueError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not so within {within} s; last: {last!r}")
