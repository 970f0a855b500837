"""A user's commands and requests to a running stack."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django_shell import LOOP, DjangoShell
from web_client import Answer, Client

from devtools.checkout import Checkout
from devtools.docker.project import Project
from devtools.errors import DevError
from devtools.process import Result
from devtools.readiness import wait_until

CHECKOUT = Path(__file__).parents[2]
# The variables of the ports that every stack publishes.
PORTS = ("WEB_PORT", "DB_PORT", "REDIS_PORT", "LOCALSTACK_PORT", "COGNITO_PORT")


class Failed(AssertionError):
    """A finding, and a command that shows more or corrects it."""

    def __init__(self, finding: str, remedy: str = "") -> None:
        super().__init__(finding)
        self.finding = finding
        self.remedy = remedy


@dataclass
class Stack:
    """A checkout, its project, and the variables of its ports.

    Without a project it is the user's own stack, with what the user has chosen.
    """

    checkout: Path
    project: str = ""
    ports: dict[str, str] = field(default_factory=dict)
    first_up: subprocess.CompletedProcess[str] | None = None
    # The user for commands, as for subprocess: user, group, extra_groups; by default the tester.
    account: dict[str, Any] = field(default_factory=dict)
    engine: str = ""  # by default, the one that ./dev chooses

    # Commands

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
            shown = " ".join(command[:4])
            said = Result(ended.returncode, ended.stdout, ended.stderr).last_words
            failed = Failed(f"`{shown}` ended with {ended.returncode}: {said}", shown)
            failed.add_note(f"{command}\n{ended.stdout}{ended.stderr}")
            raise failed
        return ended

    def environment(self) -> dict[str, str]:
        """Return the environment of a command, with the project and ports of this stack."""
        # With the sample tenants, also in a product with a single one.
        own = {"COMPOSE_PROJECT_NAME": self.project, "SINGLE_TENANT": ""} if self.project else {}
        own |= {"DEV_ENGINE": self.engine} if self.engine else {}
        return {**os.environ, **own, **self.ports, "NO_COLOR": "1"}

    def dev(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `./dev ARGUMENTS`."""
        return self.run("./dev", *arguments, **options)

    def docker(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGUMENTS` with the variables of this stack's project."""
        chosen = {} if self.project else Project(Checkout(self.checkout)).environment
        return self.run("docker", *arguments, **{**chosen, **options})

    def compose(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `docker compose ARGUMENTS`."""
        return self.docker("compose", *arguments, **options)

    def sql(self, query: str) -> str:
        """Return the result of a superuser's query: rows by line, columns by |."""
        return self.dev("psql", "-AtX", "-c", query).stdout.strip()

    def python(self, code: str, service: str = "web") -> str:
        """Run Python code in Django's shell of a running service; return its output."""
        ended = self.compose(
            *("exec", "-T", service, "python", "manage.py", "shell", "--verbosity=0"),
            *("--command", code),
        )
        return ended.stdout.strip()

    def shell(self, code: str, tenant: str = "") -> str:
        """Run Python code in one Django shell that stays; return the last line of its output.

        It has the rights and settings of web, on both engines.
        """
        lines = self._django.ask(code, tenant, timeout=300).strip().splitlines()
        return lines[-1].strip() if lines else ""

    @cached_property
    def _django(self) -> DjangoShell:
        command = ("./dev", "shell", "--verbosity=0", "-c", LOOP)
        return DjangoShell(command, self.checkout, self.environment())

    def close(self) -> None:
        """End the shell."""
        if "_django" in vars(self):
            self._django.close()

    # What runs

    def containers(self, *services: str) -> dict[str, str]:
        """Return the ids of the running containers, by service."""
        listed = self.compose("ps", "--format", "{{.Service}} {{.ID}}", *services).stdout
        return dict(line.split() for line in listed.splitlines())

    def status(self) -> dict[str, Any]:
        """Return the answer of `./dev status --json`, whether or not all is healthy."""
        return json.loads(self.dev("status", "--json", check=False).stdout)

    def services(self, *names: str) -> list[dict[str, Any]]:
        """Return what status says of services. Raises Failed if there is none of a name."""
        found = {one["name"]: one for one in self.status()["services"]}
        missing = [name for name in names if name not in found]
        if missing:
            raise Failed(f"there is no service {', '.join(missing)}", "./dev status")
        return [found[name] for name in names]

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """The addresses of a running stack, by name."""
        return self.status()["addresses"]

    def port(self, service: str) -> int:
        """Return the port of a service on this machine."""
        if chosen := self.ports.get(f"{service.upper()}_PORT"):
            return int(chosen)
        if service not in self.addresses:
            raise Failed(f"{service} has no address", "./dev status")
        return urlsplit(self.addresses[service]).port or 0

    # Requests

    def api(self, tenant: str = "", **headers: str) -> Client:
        """Return a client of a tenant; of the default one without a name."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(self.port("web"), tenant, given)

    def get(self, path: str = "/", **options: Any) -> Answer:
        """Call web; any status is an answer, no connection is an OSError."""
        return self.api().get(path, **options)

    def url(self, path: str = "/", tenant: str | None = None) -> str:
        """Return a URL of web, as published on this machine."""
        host = f"{tenant}.localhost" if tenant else "127.0.0.1"
        return f"http://{host}:{self.port('web')}{path}"

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

    # Logs

    def log(self, service: str) -> list[str]:
        """Return the lines that a service has written."""
        lines = self.dev("logs", service).stdout.splitlines()
        return [line.split("| ", 1)[-1] for line in lines if "|" in line]

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
