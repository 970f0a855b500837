"""The interface of the engines, which run the stack for the commands."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Callable, TypeVar

from .. import addresses, debuggers, environment, ports
from ..checkout import Checkout
from ..database_upgrade import Clusters
from ..errors import DevError, PortLost, Problem
from ..interpreter import Interpreter, Local
from ..process import Result, capture, hand_over
from ..services import WEB
from ..status import StackStatus
from ..terminal import Terminal

# Which code was seen to have a migration for each change of a model.
_MIGRATED = "migrated"
_MAKE_NO_MIGRATIONS = ("makemigrations", "--check", "--dry-run", "--no-input", "--skip-checks")
# The second is of a change that Django has a question about.
_UNMIGRATED = re.compile(r"(?:^Migrations for '|^Field '\w+' on model ')(\w+)'", re.MULTILINE)


# Of one command, each after a port that another program took.
_STARTS = 3
_Started = TypeVar("_Started")


class Engine(ABC):
    """Runs the stack. All methods raise DevError on failure; those that hand the terminal to a
    program return its exit status."""

    name: str
    # Why this engine was chosen.
    reason = ""
    # How long the choice of `serve` lasts.
    serves_until = "the next ./dev up"

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        self.checkout = checkout
        self.terminal = terminal
        # Engines enter it before they start services.
        self.claims = ports.Claims()

    @property
    def account_variables(self) -> dict[str, str]:
        """The shell's variables that `createsuperuser --noinput` reads."""
        given = self.checkout.variables.items()
        return {name: value for name, value in given if name.startswith("DJANGO_SUPERUSER_")}

    @property
    def debug_port(self) -> int:
        """The port for an editor to attach to web, if it runs under a debugger."""
        return debuggers.port(self.checkout, WEB)

    # The stack

    def started(self, start: Callable[[], _Started]) -> _Started:
        """Call `start`, again with other ports if another program takes one meanwhile."""
        for _ in range(_STARTS - 1):
            try:
                return start()
            except PortLost as lost:
                for problem in lost.problems:
                    self.terminal.warn(Problem(problem.what, "starting again with another port"))
        return start()

    @abstractmethod
    def up(self, *, build: bool, debug: bool, timeout: float) -> bool:
        """Start every service and wait, at most `timeout` seconds for each, until all are healthy.

        With `debug`, web and worker run under debuggers; a server that already does is kept.
        Returns whether anything had to be done.
        """

    @abstractmethod
    def down(self, *, volumes: bool) -> None:
        """Stop and remove the services; with `volumes` delete the data too."""

    @abstractmethod
    def status(self) -> StackStatus:
        """The current status."""

    @abstractmethod
    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        """Print the logs of `services`, or of all services."""

    @abstractmethod
    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        """Restart `services`, or all long-running ones, and wait until they are healthy."""

    @abstractmethod
    def serve(self, server: str, *, debug: bool, timeout: float) -> bool:
        """Replace the web server by `server`; touch nothing else.

        With `debug` it runs under a debugger. Returns whether anything had to be done.
        """

    @abstractmethod
    def remains(self) -> list[str]:
        """What `clean` deletes, one line each."""

    @abstractmethod
    def data(self) -> list[str]:
        """The names of the items in `remains` with data that cannot be recreated."""

    def clean(self) -> None:
        """Delete everything in `remains`; not asked of an engine where that is unknown."""
        raise NotImplementedError

    def clusters(self, programs: Path | None) -> Clusters:
        """The clusters of the stopped database, for an upgrade.

        `programs` is the directory of the old version's, for an engine without images.
        """
        raise DevError(
            f"the engine {self.name} cannot upgrade the database",
            "on the machine that hosts it: ./dev upgrade-db",
        )

    # Commands inside it

    @abstractmethod
    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        """Run manage.py as the database's owner; with `writes_code` the caller owns new files."""

    def look(self, arguments: Sequence[str]) -> int:
        """Run a manage.py that changes no table, where that is quickest; web need not run."""
        return self.manage(arguments)

    @abstractmethod
    def release(self) -> int:
        """Run the release, like a start: migrations and missing tenants."""

    @abstractmethod
    def shell(self, arguments: Sequence[str]) -> int:
        """Open Django's shell where web runs, with web's rights."""

    @abstractmethod
    def execute(self, service: str, command: Sequence[str]) -> int:
        """Run `command` in the running service `service`, with its environment."""

    def psql(self, arguments: Sequence[str]) -> int:
        """Open psql on the application's database, as superuser."""
        command, environment = self._as_superuser(*(["--tty"] if has_terminal() else []))
        return hand_over(
            [*command, "psql", *arguments],
            directory=Path.cwd(),
            environment={**self.checkout.variables, **environment},
        )

    def memory(self) -> int:
        """The memory that the running stack uses, in bytes; not asked in a dev container."""
        raise NotImplementedError

    def copy_files_to(self, other: Checkout) -> None:
        """Copy what the services stored, without database and cache, to `other` on this engine.

        Not asked in a dev container, where no other checkout is.
        """
        raise NotImplementedError

    def in_database(
        self,
        script: str,
        *arguments: str,
        timeout: float = 60,
        given: IO[bytes] | str = "",
        into: IO[bytes] | None = None,
    ) -> Result:
        """Run a shell script where PostgreSQL's programs log in as superuser; return its result.

        The programs use the application's database by default. `given` and `into` are as for
        `process.capture`.
        """
        command, environment = self._as_superuser()
        return capture(
            [*command, "sh", "-c", script, "sh", *arguments],
            directory=Path("/"),
            environment=environment,
            timeout=timeout,
            given=given,
            into=into,
        )

    def _in_backend(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run `command` in the folder `backend` on this terminal; return its exit status."""
        return hand_over(command, directory=self.checkout.root / "backend", environment=environment)

    def _tenant_names(self) -> list[str]:
        """The active tenants; none if the database does not answer."""
        with contextlib.suppress(DevError):
            found = self.in_database('exec psql -XAtc "$1"', addresses.TENANTS_QUERY)
            return found.output.split() if found.ok else []
        return []

    @abstractmethod
    def _as_superuser(self, *options: str) -> tuple[Sequence[str], Mapping[str, str]]:
        """How a command becomes one of PostgreSQL's superuser: what precedes it, its environment.

        `options` are for `docker exec`. Raises DevError if the database does not run.
        """

    # The lock file of web's packages.
    lock = environment.LOCK_OF_IMAGE

    def missing_packages(self) -> list[str]:
        """The packages of `lock` that the running web lacks, as `name version`."""
        return environment.named(self.ask(WEB, ["python", *environment.COMPARE]))

    def unmigrated(self) -> Problem | None:
        """The problem that models have changes without a migration, as the code is now.

        Asked in a new process, because web has the models of its start; and not again for the same
        code. None if web does not run.
        """
        code = self.code
        if self.checkout.recall(_MIGRATED) == code:
            return None
        asked = self.ask(WEB, ["python", "manage.py", *_MAKE_NO_MIGRATIONS])
        names = _UNMIGRATED.findall(asked.output) if asked else []
        if not names:
            if asked and asked.ok:
                self.migrated(code)
            return None
        what = f"models have changes without a migration: {', '.join(names)}"
        return Problem(what, "./dev makemigrations")

    @property
    def code(self) -> dict[str, str]:
        """A digest of the sizes and times of the backend's Python files."""
        found = hashlib.sha256()
        for path in sorted((self.checkout.root / "backend").rglob("*.py")):
            facts = path.stat()
            found.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        return {"backend": found.hexdigest()}

    def migrated(self, code: Mapping[str, str]) -> None:
        """Remember that no model in `code` has changes without a migration."""
        self.checkout.remember(_MIGRATED, code)

    def python_with(self, *modules: str) -> Interpreter | None:
        """A Python that can import `modules`: of this machine, else of the stack's image.

        Nothing is installed for it; None if there is none.
        """
        return environment.find_with(self.checkout, *modules) or self.image_python(*modules)

    def image_python(self, *modules: str) -> Interpreter | None:
        """The Python of the stack's image, if there is one that can import `modules`."""
        return None

    def install_python(self, terminal: Terminal) -> Interpreter:
        """Install a Python for ./dev's own scripts; show progress on `terminal`."""
        return Local(environment.ensure(self.checkout, terminal))

    @abstractmethod
    def empty_cache(self) -> None:
        """Delete everything in the application's cache, including sessions."""

    @abstractmethod
    def test(self, arguments: Sequence[str], *, build: bool) -> int:
        """Run the backend's tests."""

    @abstractmethod
    def test_environment(self) -> Mapping[str, str]:
        """The variables for running the tests with the Python of this machine or container.

        Raises DevError if the database or Redis is not available.
        """

    # The processes' environment. Optional: only engines that set it override these methods.

    def environment_at_start(self, service: str) -> Mapping[str, str] | None:
        """The variables of a start of `service`; None if this engine does not set them."""
        return None

    def filled_in(self) -> Mapping[str, str]:
        """The variables in Compose files that ./dev set, not the user."""
        return MappingProxyType({})

    @abstractmethod
    def ask(self, service: str, command: Sequence[str]) -> Result | None:
        """Run `command` in backend with the variables of the running `service`; return its result.

        None if the service is not running. Raises DevError if that is unknown.
        """


def has_terminal() -> bool:
    """Whether a program can ask here and be seen."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def runs_once(service: str) -> DevError:
    """The error for running a command in a service that has exited."""
    return DevError(
        f"{service} runs once, at each start, and has exited",
        f"in web: ./dev exec {WEB} COMMAND\nas the database's owner: ./dev manage COMMAND",
    )
