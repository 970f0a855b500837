"""The context of the checks. Each value is computed once, by the first check that needs it."""

from __future__ import annotations

import json
import threading
from typing import Any, Callable, Generic, TypeVar

from ..checkout import Checkout
from ..docker.project import Container, Project
from ..engines.base import Engine
from ..engines.choice import choose
from ..engines.compose import ComposeEngine
from ..engines.embedded import EmbeddedEngine
from ..errors import DevError, NoAnswer
from ..ports import LOOPBACK
from ..preflight import daemon
from ..preflight.daemon import Daemon
from ..services import DATABASE
from ..status import ServiceStatus, StackStatus
from ..terminal import Terminal

_T = TypeVar("_T")


class NotApplicable(Exception):
    """The check cannot run here; the text gives the reason."""


class _Once(Generic[_T]):
    """An attribute that is computed once; concurrent checks wait for the first one."""

    def __init__(self, work: Callable[[Any], _T]) -> None:
        self._work = work
        self._name = work.__name__

    def __get__(self, owner: Any, _: type) -> _T:
        with owner.locks.setdefault(self._name, threading.RLock()):
            if self._name not in owner.known:
                try:
                    owner.known[self._name] = self._work(owner), None
                except (DevError, NotApplicable) as error:
                    owner.known[self._name] = None, error
        value, failure = owner.known[self._name]
        if failure:
            raise failure
        return value


class Context:
    """A checkout, its machine and its stack. An unavailable attribute raises NotApplicable."""

    def __init__(self, checkout: Checkout, terminal: Terminal, asked_engine: str = "") -> None:
        self.checkout = checkout
        self.terminal = terminal
        self.engine: Engine = choose(asked_engine, checkout, terminal)
        self.locks: dict[str, threading.RLock] = {}
        self.known: dict[str, tuple[Any, Exception | None]] = {}

    @property
    def composed(self) -> bool:
        """Whether the stack runs, or would run, in containers."""
        return isinstance(self.engine, ComposeEngine)

    @property
    def embedded(self) -> EmbeddedEngine:
        if not isinstance(self.engine, EmbeddedEngine):
            raise NotApplicable(f"the stack runs on the {self.engine.name} engine")
        return self.engine

    @_Once
    def daemon(self) -> Daemon:
        """The Docker daemon, or why it does not answer."""
        return daemon.look(self.checkout)

    @_Once
    def docker_info(self) -> dict[str, Any]:
        """The daemon's information about itself and its machine."""
        self._needs_docker()
        answer = Project(self.checkout).docker("info", "--format", "{{json .}}", timeout=15)
        try:
            return json.loads(answer.output)
        except ValueError as error:
            raise NotApplicable("the daemon returns no information") from error

    @_Once
    def project(self) -> Project:
        """The Compose project of this checkout, with valid Compose files."""
        self._needs_docker()
        project = Project(self.checkout)
        try:
            _ = project.services
        except NoAnswer:
            raise
        except DevError as error:
            raise NotApplicable(f"the Compose files cannot be read: {error}") from error
        return project

    @_Once
    def containers(self) -> dict[str, Container]:
        return self.project.containers()

    @_Once
    def status(self) -> StackStatus:
        """The status of the stack, which is up, at least partly."""
        try:
            found = self.engine.status()
            if found.failing:  # a busy machine may only have answered too late
                found = self.engine.status()
        except NoAnswer:
            raise
        except DevError as error:
            raise NotApplicable(f"the stack's status is unavailable: {error}") from error
        if found.down:
            raise NotApplicable("the stack is down")
        return found

    def service(self, name: str) -> ServiceStatus:
        """The status of the service `name`; the stack is up."""
        found = {one.name: one for one in self.status.services}
        if name not in found:
            raise NotApplicable(f"the stack has no service {name}")
        return found[name]

    def address(self, service: str) -> tuple[str, int]:
        """Host and port of `service` as seen from here; port 0 if it is not reachable."""
        host, _, port = (self.service(service).address or "").rpartition(":")
        everywhere = ("", "localhost", "0.0.0.0", "::")  # noqa: S104 - only compared
        return (LOOPBACK if host in everywhere else host), int(port or 0)

    @property
    def database_runs(self) -> bool:
        try:
            return self.service(DATABASE).healthy
        except NotApplicable:
            return False

    def _needs_docker(self) -> None:
        if not self.composed:
            raise NotApplicable(f"the stack runs on the {self.engine.name} engine")
        if self.daemon.silence:
            raise NotApplicable("the Docker daemon does not answer")
