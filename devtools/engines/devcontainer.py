"""The engine inside the dev container, which is the container of web.

Compose runs the services, on the machine that hosts the container. The Docker daemon is not
reachable here, and daily work does not need it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from .. import (
    addresses,
    cache,
    debuggers,
    devcontainer,
    emulators,
    environment,
    health,
    logs,
    ports,
    processes,
    readiness,
    texts,
)
from ..checkout import Checkout
from ..declared import local_stack
from ..declared.local_stack import Declaration, Service
from ..errors import DevError, NoAnswer
from ..interpolation import fill_in
from ..nearest import must_be_known
from ..process import Result, capture
from ..readiness import Verdict
from ..services import CACHE, DATABASE, EMULATORS, RELEASE, TESTS, WEB
from ..status import ServiceStatus, StackStatus
from ..supervision import web
from ..supervision.client import Client, Crashes, State
from ..terminal import Mark, Terminal
from .base import Engine

HERE = (WEB,)  # the services in this container
_CONNECT_WITHIN = 5  # seconds
_REACHABLE, _SILENT = _KNOWN = ("reachable", "silent")


class DevContainerEngine(Engine):
    """Calls the supervisor, which is the container's main process, and services by host name."""

    name = "devcontainer"
    serves_until = "the container restarts"

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        super().__init__(checkout, terminal)
        self.supervisor = Client(devcontainer.SOCKET)

    @property
    def runs(self) -> bool:
        """Whether this is a dev container of this checkout."""
        return devcontainer.inside(self.checkout.root)

    @property
    def debug_port(self) -> int:
        # The variables that move it only separate the checkouts of one machine.
        return debuggers.PORTS[WEB][1]

    # The stack

    def up(self, *, build: bool, debug: bool, timeout: float) -> bool:
        if build:
            _outside("the image cannot be changed", "./dev up --build")
        self._state()
        self._wait_for_dependencies(timeout)
        installed = self._install()
        state = self._state()
        if debug and not self._choice.debug_port:
            return self.serve(self._choice.server, debug=True, timeout=timeout)
        if state.running and not installed and self._choice.arrived(self._port):
            return False
        # The cause of its crashes may be fixed: do not wait for the end of the pause.
        if installed or not state.running:
            self._replace()
        self._follow(timeout)
        return True

    def down(self, *, volumes: bool) -> None:
        _outside("the stack cannot be stopped, because it includes this container", "./dev down")

    def status(self) -> StackStatus:
        state = self._state()
        found = health.ask(self._port)
        # Of web alone: a debugger in another container would take our connection for an editor.
        debug_port = self._choice.debug_port
        return StackStatus(
            engine=self.name,
            project=self.checkout.root.name,
            services=[self._service_status(name, state, found) for name in self._long_running],
            health=found,
            addresses=addresses.pages(self._host, self._port),
            tenants=addresses.tenants(
                self._tenant_names(), self._host, self._port, self.checkout.variables
            ),
            reload=self._choice.reload,
            debuggers={WEB: debuggers.look(debug_port)} if debug_port else {},
        )

    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        names = self._only_here(services, "the log of {} cannot be read", "./dev logs {}")
        files = [(name, devcontainer.LOG) for name in names]
        logs.show(self.terminal, files, follow=follow, tail=tail)
        return 0

    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        self._only_here(services, "{} cannot be restarted", "./dev restart {}")
        self._state()
        self._replace()
        self._follow(timeout)

    def serve(self, server: str, *, debug: bool, timeout: float) -> bool:
        variables = web.chosen(server, self.debug_port if debug else None)
        # A running server that does not answer yet is slow; a restart would take longer.
        keep = self._state().running and web.Choice.of(variables) == self._choice
        if not keep:
            if debug and not self._choice.debug_port and ports.listens(self.debug_port):
                raise debuggers.taken(WEB, self.debug_port, fixed=True)
            self._replace(variables)
        self._follow(timeout)
        return not keep

    def remains(self) -> list[str]:
        _outside("the stack cannot be deleted, because it includes this container", "./dev clean")

    def data(self) -> list[str]:
        _outside("the stack cannot be stopped, because it includes this container", "./dev down")

    # Commands inside it

    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        return self._run(RELEASE, "python", "manage.py", *arguments)

    def release(self) -> int:
        return self._run(RELEASE, *self._declared.services[RELEASE].command)

    def shell(self, arguments: Sequence[str]) -> int:
        return self._run(WEB, "python", "manage.py", "shell", *arguments)

    def execute(self, service: str, command: Sequence[str]) -> int:
        self._only_here([service], "nothing can be run in {}", "./dev exec {} COMMAND")
        return self._in_backend(command, os.environ)

    def _as_superuser(self, *options: str) -> tuple[Sequence[str], Mapping[str, str]]:
        self._must_reach(DATABASE)
        settings = self._settings(self._declared.services[DATABASE])
        host, port = self._address(DATABASE)
        environment = {
            **os.environ,
            "PGHOST": host,
            "PGPORT": str(port),
            "PGUSER": settings["POSTGRES_USER"],
            "PGPASSWORD": settings["POSTGRES_PASSWORD"],
            "PGDATABASE": settings["POSTGRES_DB"],
        }
        return (), environment

    def empty_cache(self) -> None:
        self._must_reach(CACHE)
        settings = self._settings(self._declared.services[WEB])
        cache.empty(settings["REDIS_URL"], *self._address(CACHE))

    def test(self, arguments: Sequence[str], *, build: bool) -> int:
        if build:
            _outside("the image cannot be changed", "./dev test --build")
        if missing := self.missing_packages():
            self.terminal.warn(environment.not_installed(self.lock, missing))
        return self._run(TESTS, *self._declared.extra[TESTS].command, *arguments)

    def test_environment(self) -> Mapping[str, str]:
        self._must_reach(DATABASE, CACHE)
        return self._settings(self._declared.extra[TESTS])

    def ask(self, service: str, command: Sequence[str]) -> Result | None:
        self._only_here([service], "{} cannot be asked", "./dev env --service {}")
        place = self.checkout.root / "backend"
        return capture(command, directory=place, environment=self.checkout.variables)

    def _install(self) -> bool:
        """Install the locked packages that this container lacks; return whether there were any."""
        missing = self.missing_packages()
        if missing:
            environment.install_here(self.checkout, self.terminal, missing)
            self.terminal.say("  the worker's container installs the same packages and restarts it")
        return bool(missing)

    # Services and their addresses

    @property
    def _declared(self) -> Declaration:
        return local_stack.load(self.checkout, Path(sys.executable))

    @property
    def _services(self) -> Mapping[str, Service]:
        """All services; here each runs in a separate container."""
        return {**self._declared.services, **self._declared.hosted}

    @property
    def _long_running(self) -> list[str]:
        return [name for name, service in self._services.items() if not service.one_shot]

    @property
    def _port(self) -> int:
        """The port of web in this container."""
        return self._services[WEB].ports[0].target

    def _state(self) -> State:
        if not self.supervisor.answers:
            raise DevError(
                "this is not a dev container: no supervisor of a web server is running",
                "open the checkout in its dev container, or omit --engine",
            )
        return self.supervisor.states()[WEB]

    @property
    def _choice(self) -> web.Choice:
        """The server that was chosen last."""
        return web.Choice.of({**self.checkout.variables, **web.exported(devcontainer.CHOICE)})

    def _replace(self, variables: Mapping[str, str] | None = None) -> None:
        """Stop the server and start it, with other `variables` if they are given."""
        self.supervisor.stop({WEB: web.PATIENCE}, keep_socket=True)
        processes.end(processes.marks(self.checkout.root, WEB))  # such as a debugger's adapter
        if variables is not None:
            devcontainer.CHOICE.write_text("\n".join([*web.exports(variables), ""]))
        self.supervisor.start(WEB)

    def _follow(self, timeout: float) -> None:
        """Wait until the server has arrived. Raises DevError if it does not."""
        choice = self._choice
        crashes = Crashes()

        def look() -> dict[str, Verdict]:
            try:
                state = self._state()
            except NoAnswer:
                return {WEB: Verdict(Mark.BUSY, "its supervisor does not answer yet")}
            if state.word == "FATAL" or crashes.are_too_many(state):
                return {WEB: Verdict(Mark.BAD, state.crash)}
            if state.crashed:
                return {WEB: Verdict(Mark.BUSY, "crashing")}
            if state.running and choice.arrived(self._port):
                return {WEB: Verdict(Mark.GOOD, choice.arrival)}
            return {WEB: Verdict(Mark.BUSY, "starting")}

        def explain(name: str, state: str) -> DevError:
            return readiness.failure(self.terminal, name, state, texts.read(devcontainer.LOG))

        readiness.follow(self.terminal, [WEB], look, explain, timeout, interval=readiness.QUICK)

    def _only_here(self, services: Sequence[str], what: str, how: str) -> list[str]:
        must_be_known("service", services, self._long_running)
        for name in services:
            if name not in HERE:
                _outside(what.format(name), how.format(name))
        return list(HERE)

    def _address(self, name: str) -> tuple[str, int]:
        """The address of a service on the network that it shares with this container."""
        return name, self._services[name].ports[0].target

    def _wait_for_dependencies(self, timeout: float) -> None:
        """Wait for web's dependencies: after a reboot, all containers start at once.

        Raises DevError for the first one that is not ready after `timeout` seconds or has failed.
        """
        needed = [name for name in (DATABASE, CACHE, *EMULATORS) if name in self._services]

        def look() -> dict[str, Verdict]:
            return {name: self._readiness(name) for name in needed}

        if any(verdict.mark is not Mark.GOOD for verdict in look().values()):
            readiness.follow(self.terminal, needed, look, _not_ready, timeout)

    def _readiness(self, name: str) -> Verdict:
        """Whether a service is usable; for an emulator, whether it is seeded."""
        if name in EMULATORS:
            state = emulators.state(*self._address(name), EMULATORS[name])
        else:
            state = self._reach(name)
        marks = {_REACHABLE: Mark.GOOD, emulators.FILLED: Mark.GOOD, emulators.FAILED: Mark.BAD}
        return Verdict(marks.get(state, Mark.BUSY), state)

    def _must_reach(self, *names: str) -> None:
        found = {name: self._reach(name) for name in names}
        slow = [f"{name}: {found[name]}" for name in names if found[name] not in _KNOWN]
        if slow:
            raise NoAnswer(", ".join(slow), "try again: is the machine overloaded?")
        silent = [name for name in names if found[name] == _SILENT]
        if silent:
            raise DevError(
                f"{' and '.join(silent)} cannot be reached",
                "start the stack on the machine that hosts this container: ./dev up",
            )

    def _reach(self, name: str) -> str:
        """Whether a service accepts connections, in the words of `./dev status`."""
        try:
            socket.create_connection(self._address(name), timeout=_CONNECT_WITHIN).close()
        except TimeoutError:
            return f"no answer within {_CONNECT_WITHIN} s"
        except OSError:
            return _SILENT
        return _REACHABLE

    def _service_status(
        self, name: str, state: State, found: health.Health | None
    ) -> ServiceStatus:
        if name == WEB:
            healthy = state.running and self._choice.arrived(self._port)
            word = "healthy" if healthy else "starting" if state.running else "crashed"
            address = f"localhost:{self._port}"
            return ServiceStatus.since_epoch(
                name, word, healthy, state.since, address, running=bool(state.pid)
            )
        if self._services[name].ports:
            word = self._reach(name)
            address = ":".join(map(str, self._address(name)))
            return ServiceStatus.since_epoch(name, word, word == _REACHABLE, 0, address)
        # Services without a port are judged by what web reports.
        healthy = found is not None and name in found.checks and name not in found.failing
        word = "heard from" if healthy else "silent"
        return ServiceStatus.since_epoch(name, word, healthy, 0)

    @property
    def _host(self) -> str:
        return addresses.host(self.checkout.root, self.checkout.variables.get("STACK_NAME", ""))

    # Running commands as a service

    def _run(self, name: str, *command: str) -> int:
        service = {**self._declared.services, **self._declared.extra}[name]
        return self._in_backend(command, {**os.environ, **self._settings(service)})

    def _settings(self, service: Service) -> dict[str, str]:
        """The variables of a container of `service`."""
        known = self.checkout.set_to
        values = self.checkout.dotenv.as_env_file(known) if service.reads_dotenv else {}
        for name, declared in service.environment.items():
            values[name] = fill_in(declared, known)
        if "EXPORT_ROOT" in values:
            # The volume of exports is not mounted here, and files outside a volume would be lost.
            values["EXPORT_ROOT"] = str(self.checkout.state / "exports")
        # Only for this process: web uses the debugger's port.
        return {**values, debuggers.PORT_VARIABLE: "", debuggers.RELOAD_VARIABLE: ""}


def _not_ready(name: str, state: str) -> DevError:
    remedy = "./dev up   starts missing services"
    if name in EMULATORS:
        remedy = f"./dev logs {name}   shows the error\n./dev restart {name}"
    return DevError(f"{name}: {state}", f"on your machine:\n{remedy}")


def _outside(what: str, command: str) -> NoReturn:
    raise DevError(f"{what} from inside the dev container", f"on your machine: {command}")
