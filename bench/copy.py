"""A copy of the checkout with a separate stack, for benchmarks."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import environment, ports
from devtools.checkout import Checkout
from devtools.chosen_ports import EMBEDDED_NOW
from devtools.docker.project import Project
from devtools.embedded.places import Places
from devtools.engines.embedded import EmbeddedEngine
from devtools.errors import DevError
from devtools.process import Result
from devtools.services import WEB
from devtools.terminal import Terminal

PROJECT = "homeport-bench"
_HERE = Path(__file__).parent
# The user's own stack has these.
_OWN = ("WEB_PORT", "DB_PORT", "REDIS_PORT", "WEB_DEBUG_PORT", "WORKER_DEBUG_PORT")


class Copy:
    """The copy in `directory`; `variables` are added to those of `checkout`."""

    def __init__(
        self,
        checkout: Checkout,
        directory: Path,
        variables: dict[str, str],
        engine: str = EmbeddedEngine.name,
    ) -> None:
        kept = {name: v for name, v in checkout.variables.items() if name not in _OWN}
        self.checkout = checkout.copy(directory / "checkout", {**kept, **variables})
        self._engine = engine

    def share(self, checkout: Checkout, terminal: Terminal) -> None:
        """Use the `.venv` of `checkout`, which is made if it is missing, instead of another one."""
        environment.ensure(checkout, terminal)
        (self.checkout.root / ".venv").symlink_to(checkout.root / ".venv")

    @contextmanager
    def up(self) -> Iterator[None]:
        """The copy's stack, up; nothing of it is left afterwards."""
        try:
            self.dev("up")
            yield
        finally:
            self.dev("clean", "--yes")

    def command(self, *arguments: str) -> list[str]:
        """What runs `./dev ARGUMENTS` in the copy."""
        return dev_command(self.checkout, self._engine, *arguments)

    def dev(self, *arguments: str, timeout: float = 600) -> str:
        """Run `./dev ARGUMENTS` in the copy; return its output. Raises DevError if it fails."""
        done = self.checkout.run(self.command(*arguments), timeout=timeout)
        return done.must(f"./dev {' '.join(arguments)} failed").output

    def ask_of_supervisor(self, script: str) -> Result:
        """Run a script of this folder on the supervisor's process, with the Python of .venv."""
        process = (Places(self.checkout).scripts / "supervisord.pid").read_text().strip()
        python = str(environment.python(self.checkout))
        return self.checkout.run([python, "-B", str(_HERE / script), process])

    @property
    def port(self) -> int:
        """The port that web answers on."""
        chosen = self.checkout.variables.get("WEB_PORT")
        return int(chosen) if chosen else self.checkout.recall(EMBEDDED_NOW)[WEB]

    def variables_of(self, service: str, terminal: Terminal) -> dict[str, str]:
        """The environment that a process of `service` gets."""
        return EmbeddedEngine(self.checkout, terminal).variables_of(service)


def dev_command(checkout: Checkout, engine: str, *arguments: str) -> list[str]:
    """What runs `./dev ARGUMENTS` in `checkout` on this engine."""
    return [sys.executable, str(checkout.root / "dev"), "--engine", engine, *arguments]


def empty_caches(directory: Path) -> dict[str, str]:
    """The variables by which packages are downloaded once more, into `directory`."""
    return {"UV_CACHE_DIR": str(directory / "uv"), "PIP_CACHE_DIR": str(directory / "pip")}


def separate_project(checkout: Checkout) -> dict[str, str]:
    """The variables of a Compose project with ports of its own."""
    variables = {"COMPOSE_PROJECT_NAME": PROJECT}
    taken: list[int] = []
    for variable in set(Project(checkout).port_variables.values()):
        taken.append(ports.next_free(20000, taken))
        variables[variable] = str(taken[-1])
    return variables


def image_megabytes(checkout: Checkout, image: str) -> float:
    """The size of an image. Raises DevError if it is missing."""
    asked = checkout.run(["docker", "image", "inspect", "--format", "{{.Size}}", image])
    return int(asked.must(f"there is no image {image}").output) / 1e6


def page(port: int, path: str = "/") -> http.client.HTTPResponse:
    """The answer of a server of this machine, read. Raises OSError if there is none."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return answer


def answers(port: int, path: str = "/") -> bool:
    """Whether a server of this machine answers `path` with 200."""
    try:
        return page(port, path).status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def first_page(port: int) -> None:
    """Ask for the first page. Raises DevError if that is refused."""
    status = page(port).status
    if status != http.client.OK:
        raise DevError(f"the first page was answered with {status}", "./dev logs web")


def free_port() -> int:
    """A port without a listener."""
    with socket.socket() as probe:
        probe.bind((ports.LOOPBACK, 0))
        return probe.getsockname()[1]
