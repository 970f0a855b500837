"""What every engine can do: the one interface between the commands and what runs the stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .. import debuggers, environment, ports
from ..checkout import Checkout
from ..errors import DevError
from ..interpreter import Interpreter, Local
from ..process import Result
from ..services import WEB
from ..status import StackStatus
from ..terminal import Terminal


class Engine(ABC):
    """Runs the stack. Every method raises DevError where it cannot do its work;
    those that hand the terminal to a program return its exit status."""

    name: str
    # Why it is this engine that runs the stack, in words.
    reason = ""
    # Until when `serve` holds.
    serves_until = "the next ./dev up"

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        self.checkout = checkout
        self.terminal = terminal
        # Entered by what starts services.
        self.claims = ports.Claims()

    @property
    def debug_port(self) -> int:
        """Where an editor attaches to web, if that runs under a debugger."""
        return debuggers.port(self.checkout, WEB)

    # The stack

    @abstractmethod
    def up(self, *, auto_ports: bool, build: bool, debug: bool, timeout: float) -> bool:
        """Bring every service up and wait, at most `timeout` seconds, until all are healthy.

        With `debug` web and worker run under debuggers, a server that does already as it is.
        Returns whether there was anything to do.
        """

    @abstractmethod
    def down(self, *, volumes: bool) -> None:
        """Stop and remove what runs; the data too with `volumes`."""

    @abstractmethod
    def status(self) -> StackStatus:
        """What runs now."""

    @abstractmethod
    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        """Print the logs of `services`, or of all."""

    @abstractmethod
    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        """Restart `services`, or all that stay, and wait until they are healthy."""

    @abstractmethod
    def serve(self, server: str, *, debug: bool, timeout: float) -> bool:
        """Put `server` in place of the web server that runs; touch nothing else.

        With `debug` it runs under a debugger. Returns whether there was anything to do.
        """

    @abstractmethod
    def remains(self) -> list[str]:
        """What `clean` deletes, one line each."""

    @abstractmethod
    def data(self) -> list[str]:
        """What of `remains` holds data that cannot be made again, by name."""

    @abstractmethod
    def clean(self) -> None:
        """Delete all of `remains`."""

    # Commands inside it

    @abstractmethod
    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        """Run manage.py as the database's owner; with `writes_code` its files are the caller's."""

    @abstractmethod
    def release(self) -> int:
        """Run the release that a start-up runs: migrations and missing tenants."""

    @abstractmethod
    def shell(self, arguments: Sequence[str]) -> int:
        """Open Django's shell where web runs, with web's rights."""

    @abstractmethod
    def execute(self, service: str, command: Sequence[str]) -> int:
        """Run `command` in `service`, which runs, with the environment that it has."""

    @abstractmethod
    def psql(self, arguments: Sequence[str]) -> int:
        """Open psql on the application's database, as superuser."""

    def in_database(self, script: str, *arguments: str, timeout: float = 60) -> Result:
        """Run a shell script to its end where PostgreSQL's programs log in as superuser.

        They work in the application's database unless they are told another.
        """
        raise DevError(f"the {self.name} engine does not reach the database's own programs")

    # Where web's packages are locked.
    lock = environment.LOCK_OF_IMAGE

    def missing_packages(self) -> list[str]:
        """What `lock` has and web, where it runs now, has not, as `name version`."""
        return environment.named(self.ask(WEB, ["python", *environment.COMPARE]))

    def image_python(self, *modules: str) -> Interpreter | None:
        """The Python of the stack's image, if there is one and it can import `modules`."""
        return None

    def install_python(self, terminal: Terminal) -> Interpreter:
        """Make a Python that has what ./dev asks it for, and show that on `terminal`."""
        return Local(environment.ensure(self.checkout, terminal))

    def empty_cache(self) -> None:
        """Delete all that the application has in its cache, sessions included."""
        raise DevError(f"the {self.name} engine does not reach the cache")

    @abstractmethod
    def test(self, arguments: Sequence[str], *, auto_ports: bool, build: bool) -> int:
        """Run the backend's tests."""

    @abstractmethod
    def test_environment(self) -> Mapping[str, str]:
        """The variables with which this machine's Python, or this container's, runs the tests.

        Raises DevError if the database or Redis is not there.
        """

    # What it gives the processes. An engine that does not decide that need not say.

    def environment_at_start(self, service: str) -> Mapping[str, str] | None:
        """The variables that a start would give `service`; None if somebody else decides."""
        return None

    def filled_in(self) -> Mapping[str, str]:
        """The variables of Compose files that ./dev itself gave a value, not the user."""
        return MappingProxyType({})

    def ask(self, service: str, command: Sequence[str]) -> Result | None:
        """Run `command` in backend to its end, with the variables that `service` runs with now.

        None if it does not run. Raises DevError where that cannot be known.
        """
        raise DevError("this engine cannot ask it")


def runs_once(service: str) -> DevError:
    """The error for a command in a service that has ended its work."""
    return DevError(
        f"{service} runs once, at each start, and has ended",
        f"in web: ./dev exec {WEB} COMMAND\nas the database's owner: ./dev manage COMMAND",
    )
