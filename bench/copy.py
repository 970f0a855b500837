"""A copy of the checkout with a separate stack on the embedded engine, for benchmarks."""

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
from devtools.embedded.places import Places
from devtools.engines.embedded import EmbeddedEngine
from devtools.errors import DevError
from devtools.process import Result, capture
from devtools.services import WEB
from devtools.terminal import Terminal

_HERE = Path(__file__).parent
# The user's own stack has these.
_OWN = ("WEB_PORT", "DB_PORT", "REDIS_PORT", "WEB_DEBUG_PORT", "WORKER_DEBUG_PORT")


class Copy:
    """The copy in `directory`; `variables` are added to those of `checkout`."""

    def __init__(self, checkout: Checkout, directory: Path, variables: dict[str, str]) -> None:
        kept = {name: v for name, v in checkout.variables.items() if name not in _OWN}
        self.checkout = checkout.copy(directory / "checkout", {**kept, **variables})

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

    def dev(self, *arguments: str, timeout: float = 600) -> str:
        """Run `./dev ARGUMENTS` in the copy; return its output. Raises DevError if it fails."""
        done = capture(
            [sys.executable, str(self.checkout.root / "dev"), "--engine", "embedded", *arguments],
            directory=self.checkout.root,
            environment=self.checkout.variables,
            timeout=timeout,
        )
        return done.must(f"./dev {' '.join(arguments)} failed").output

    def ask_of_supervisor(self, script: str) -> Result:
        """Run a script of this folder on the supervisor's process, with the Python of .venv."""
        process = (Places(self.checkout).scripts / "supervisord.pid").read_text().strip()
        return capture(
            [str(environment.python(self.checkout)), "-B", str(_HERE / script), process],
            directory=self.checkout.root,
            environment=self.checkout.variables,
        )

    @property
    def port(self) -> int:
        """The port that web answers on."""
        return self.checkout.recall(EMBEDDED_NOW)[WEB]

    def variables_of(self, service: str, terminal: Terminal) -> dict[str, str]:
        """The environment that a process of `service` gets."""
        return EmbeddedEngine(self.checkout, terminal).variables_of(service)


def empty_caches(directory: Path) -> dict[str, str]:
    """The variables by which packages are downloaded once more, into `directory`."""
    return {"UV_CACHE_DIR": str(directory / "uv"), "PIP_CACHE_DIR": str(directory / "pip")}


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
