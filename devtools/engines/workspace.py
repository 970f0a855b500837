"""The engine inside the dev container: the services are there, this is one of them.

Compose runs them, from the machine that the container is on; no daemon is reachable here, and
none is needed for what a day's work takes.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NoReturn

from .. import addresses, cache, debuggers, environment, health, readiness
from ..checkout import Checkout
from ..checks import emulators
from ..embedded import declaration, logs
from ..embedded.declaration import Declaration, Service
from ..errors import DevError, NoAnswer, UsageError
from ..interpolation import fill_in
from ..nearest import nearest
from ..process import Result, capture, hand_over
from ..readiness import Verdict
from ..services import CACHE, DATABASE, EMULATORS, RELEASE, TESTS, WEB
from ..status import Debugger, ServiceStatus, StackStatus
from ..terminal import Mark, Terminal
from ..workspace import protocol, switch
from ..workspace.protocol import Control
from .base import Engine

HERE = (WEB,)  # the services that this container holds
_CONNECT_WITHIN = 5  # seconds
_REACHABLE, _SILENT = _KNOWN = ("reachable", "silent")


class WorkspaceEngine(Engine):
    """Asks the supervisor, which is the container's main process, and the services by name."""

    name = "workspace"
    serves_until = "the container starts anew"

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        super().__init__(checkout, terminal)
        self.control = Control(protocol.SOCKET)

    @property
    def runs(self) -> bool:
        """Whether this is a workspace, and its checkout this one."""
        return protocol.inside(self.checkout.root)

    @property
    def debug_port(self) -> int:
        # What moves it elsewhere is there to keep checkouts of one machine apart.
        return debuggers.PORTS[WEB][1]

    # The stack

    def up(self, *, auto_ports: bool, build: bool, debug: bool, timeout: float) -> bool:
        if auto_ports or build:
            _outside("ports and image cannot be changed", "./dev up")
        self._state()
        self._wait_for_dependencies(timeout)
        installed = self._install()
        state = self._state()
        if debug and not state.debug_port:
            return self.serve(state.server, debug=True, timeout=timeout)
        if installed:
            self.restart([], timeout=timeout)
            return True
        if switch.arrived(state, self._port):
            return False
        # What it crashed for may be there now: its crashes are counted anew, and no pause is left.
        start = switch.restart if state.crashes else switch.follow
        start(self.control, self.terminal, self._port, protocol.LOG, timeout)
        return True

    def down(self, *, volumes: bool) -> None:
        _outside("the stack, with this container in it, cannot be taken down", "./dev down")

    def status(self) -> StackStatus:
        state = self._state()
        found = health.ask(self._port)
        return StackStatus(
            engine=self.name,
            project=self.checkout.root.name,
            services=[self._service_status(name, state, found) for name in self._long_running],
            health=found,
            addresses=addresses.pages(self._port),
            tenants=self._tenants(),
            reload=state.reload,
            debuggers=self._debuggers(state),
        )

    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        names = self._only_here(services, "the log of {} cannot be read", "./dev logs {}")
        files = [(name, protocol.LOG) for name in names]
        logs.show(self.terminal, files, follow=follow, tail=tail)
        return 0

    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        self._only_here(services, "{} cannot be restarted", "./dev restart {}")
        self._state()
        switch.restart(self.control, self.terminal, self._port, protocol.LOG, timeout)

    def serve(self, server: str, *, debug: bool, timeout: float) -> bool:
        self._state()
        return switch.serve(
            self.control,
            self.terminal,
            server,
            self.debug_port if debug else None,
            self._port,
            protocol.LOG,
            timeout,
        )

    def remains(self) -> list[str]:
        _outside("the stack, with this container in it, cannot be deleted", "./dev clean")

    def data(self) -> list[str]:
        _outside("the stack, with this container in it, cannot be taken down", "./dev down")

    def clean(self) -> None:
        _outside("the stack, with this container in it, cannot be deleted", "./dev clean")

    # Commands inside it

    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        return self._run(RELEASE, "python", "manage.py", *arguments)

    def release(self) -> int:
        return self._run(RELEASE, *self._declared.services[RELEASE].command)

    def shell(self, arguments: Sequence[str]) -> int:
        return self._run(WEB, "python", "manage.py", "shell", *arguments)

    def execute(self, service: str, command: Sequence[str]) -> int:
        self._only_here([service], "nothing can be run in {}", "./dev exec {} COMMAND")
        return self._hand_over(list(command), os.environ, "backend")

    def psql(self, arguments: Sequence[str]) -> int:
        return self._hand_over(["psql", *arguments], self._superuser())

    def in_database(self, script: str, *arguments: str, timeout: float = 60) -> Result:
        self._must_reach(DATABASE)
        return capture(
            ["sh", "-c", script, "sh", *arguments],
            directory=Path("/"),
            environment=self._superuser(),
            timeout=timeout,
        )

    def empty_cache(self) -> None:
        self._must_reach(CACHE)
        settings = self._settings(self._declared.services[WEB])
        cache.empty(settings["REDIS_URL"], *self._address(CACHE))

    def test(self, arguments: Sequence[str], *, auto_ports: bool, build: bool) -> int:
        if auto_ports or build:
            _outside("ports and image cannot be changed", "./dev test")
        if missing := self.missing_packages():
            self.terminal.warn(environment.not_installed(self.lock, missing))
        return self._run(TESTS, *self._declared.extra[TESTS].command, *arguments)

    def test_environment(self) -> Mapping[str, str]:
        self._must_reach(DATABASE, CACHE)
        return self._settings(self._declared.extra[TESTS])

    def ask(self, service: str, command: Sequence[str]) -> Result | None:
        self._only_here([service], "{} cannot be asked", "./dev env --service {}")
        place = self.checkout.root / "backend"
        return capture(list(command), directory=place, environment=self.checkout.variables)

    def _install(self) -> bool:
        """Install what this container's packages lack of the lock; return whether any did."""
        missing = self.missing_packages()
        if missing:
            environment.install_here(self.checkout, self.terminal, missing)
            self.terminal.say("  the worker's container installs the same, and starts it anew")
        return bool(missing)

    # What is where

    @property
    def _declared(self) -> Declaration:
        return declaration.load(self.checkout, Path(sys.executable))

    @property
    def _services(self) -> Mapping[str, Service]:
        """All services; each has a container of its own here."""
        return {**self._declared.services, **self._declared.hosted}

    @property
    def _long_running(self) -> list[str]:
        return [name for name, service in self._services.items() if not service.one_shot]

    @property
    def _port(self) -> int:
        """The port that web listens on in this container."""
        return self._services[WEB].ports[0].target

    def _state(self) -> protocol.State:
        state = self.control.look()
        if state is None:
            raise DevError(
                "this is not a workspace: no supervisor of a web server runs here",
                "open the checkout in its dev container, or leave --engine out",
            )
        return state

    def _only_here(self, services: Sequence[str], what: str, how: str) -> list[str]:
        for name in services:
            if name not in self._long_running:
                raise UsageError(f"there is no service {name!r}", nearest(name, self._long_running))
            if name not in HERE:
                _outside(what.format(name), how.format(name))
        return list(HERE)

    def _address(self, name: str) -> tuple[str, int]:
        """Where a service listens on the network that it shares with this container."""
        return name, self._services[name].ports[0].target

    def _wait_for_dependencies(self, timeout: float) -> None:
        """Wait for what web needs: after a restart of the machine all containers start at once.

        Raises DevError with the first that is not ready after `timeout` seconds, or cannot be.
        """
        needed = [name for name in (DATABASE, CACHE, *EMULATORS) if name in self._services]

        def look() -> dict[str, Verdict]:
            return {name: self._readiness(name) for name in needed}

        if any(verdict.mark is not Mark.GOOD for verdict in look().values()):
            readiness.follow(self.terminal, needed, look, _not_ready, timeout)

    def _readiness(self, name: str) -> Verdict:
        """Whether a service can be used: an emulator, once it is filled."""
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
                f"{' and '.join(silent)} cannot be reached from here",
                "start what is missing on the machine that this container runs on: ./dev up",
            )

    def _reach(self, name: str) -> str:
        """Whether a connection to a service can be made, in the words of `./dev status`."""
        try:
            socket.create_connection(self._address(name), timeout=_CONNECT_WITHIN).close()
        except TimeoutError:
            return f"no answer within {_CONNECT_WITHIN} s"
        except OSError:
            return _SILENT
        return _REACHABLE

    def _service_status(
        self, name: str, state: protocol.State, found: health.Health | None
    ) -> ServiceStatus:
        if name == WEB:
            well = switch.arrived(state, self._port)
            word = "healthy" if well else "starting" if state.phase == "running" else state.phase
            since = datetime.fromtimestamp(int(state.since), timezone.utc).isoformat()
            uptime = max(0, int(time.time() - state.since)) if state.pid else None
            return ServiceStatus(name, word, well, since, uptime, f"localhost:{self._port}")
        if self._services[name].ports:
            word = self._reach(name)
            address = ":".join(map(str, self._address(name)))
            return ServiceStatus(name, word, word == _REACHABLE, None, None, address)
        # What has no port is known by what web hears of it.
        well = found is not None and name in found.checks and name not in found.failing
        return ServiceStatus(name, "heard from" if well else "silent", well, None, None, None)

    def _debuggers(self, state: protocol.State) -> dict[str, Debugger]:
        found = {}
        if state.debug_port:
            found[WEB] = debuggers.look(state.debug_port)
        # Of another container's ports only whether somebody listens can be told, and not even
        # that may be asked of a debugger: it would take the question for an editor.
        return found

    def _tenants(self) -> dict[str, str]:
        if not (shutil.which("psql") and self._reach(DATABASE) == _REACHABLE):
            return {}
        found = capture(
            ["psql", "-Atc", addresses.TENANTS_QUERY],
            directory=self.checkout.root,
            environment=self._superuser(),
        )
        return addresses.tenants(found.output.split() if found.ok else (), self._port)

    # Running as a service does

    def _run(self, name: str, *command: str) -> int:
        service = {**self._declared.services, **self._declared.extra}[name]
        return self._hand_over(list(command), {**os.environ, **self._settings(service)}, "backend")

    def _settings(self, service: Service) -> dict[str, str]:
        """The variables that a container of `service` would see."""
        known = self.checkout.set_to
        values = self.checkout.dotenv.as_env_file(known) if service.reads_dotenv else {}
        for name, declared in service.environment.items():
            values[name] = fill_in(declared, known)
        if "EXPORT_ROOT" in values:
            # The volume of exports is not mounted here, and what is not in one is lost.
            values["EXPORT_ROOT"] = str(self.checkout.state / "exports")
        # Of this process alone: the debugger's port is web's.
        return {**values, debuggers.PORT_VARIABLE: "", debuggers.RELOAD_VARIABLE: ""}

    def _superuser(self) -> Mapping[str, str]:
        """The variables with which psql reaches the database as its superuser."""
        settings = self._settings(self._declared.services[DATABASE])
        host, port = self._address(DATABASE)
        return {
            **os.environ,
            "PGHOST": host,
            "PGPORT": str(port),
            "PGUSER": settings["POSTGRES_USER"],
            "PGPASSWORD": settings["POSTGRES_PASSWORD"],
            "PGDATABASE": settings["POSTGRES_DB"],
        }

    def _hand_over(
        self, command: list[str], environment: Mapping[str, str], directory: str = ""
    ) -> int:
        place = self.checkout.root / directory if directory else Path.cwd()
        found = shutil.which(command[0], path=environment.get("PATH"))
        if found is None and (place / command[0]).exists():
            found = str(place / command[0])
        return hand_over(
            [found or command[0], *command[1:]], directory=place, environment=environment
        )


def _not_ready(name: str, state: str) -> DevError:
    remedy = "./dev up   starts what is missing"
    if name in EMULATORS:
        remedy = f"./dev logs {name}   names the fault\n./dev restart {name}"
    return DevError(f"{name}: {state}", f"on your machine:\n{remedy}")


def _outside(what: str, command: str) -> NoReturn:
    raise DevError(f"{what} from inside the workspace", f"on your machine: {command}")
