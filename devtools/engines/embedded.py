"""The engine without Docker: runs the services as processes of this machine."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Callable

from .. import (
    cache,
    chosen_ports,
    debuggers,
    environment,
    health,
    logs,
    ports,
    processes,
    texts,
)
from ..checkout import Checkout
from ..declared import local_stack
from ..declared.local_stack import Declaration, Service
from ..embedded import application, moto, port_choice, report, runner, valkey
from ..embedded.clusters import DirectoryClusters
from ..embedded.places import Places
from ..embedded.postgres import KEPT, Postgres
from ..embedded.runner import Runner
from ..embedded.stack import Program, Stack
from ..errors import DevError, Problem
from ..nearest import must_be_known
from ..preflight import disk_space, files
from ..process import Result, capture
from ..services import AWS, CACHE, DATABASE, RELEASE, TESTS, WEB
from ..status import StackStatus
from ..supervision import web
from ..terminal import Mark, Terminal
from .base import Engine, runs_once

# The services that are not built from this checkout's code, and their replacements.
STAND_INS: Mapping[str, Callable[[Stack], Program]] = {
    DATABASE: lambda stack: Postgres(stack).program(),
    CACHE: valkey.program,
    AWS: moto.program,
}

# Logged by the release as its last line.
_MIGRATED = "no model has changes without a migration"


def runnable(declared: Declaration) -> Declaration:
    """`declared` without the services that need Docker, unless another service needs them."""
    services = declared.services
    needed = {name for service in services.values() for name in service.needs}
    kept = {
        name: service
        for name, service in services.items()
        if service.built or name in STAND_INS or name in needed
    }
    return dataclasses.replace(declared, services=kept)


class EmbeddedEngine(Engine):
    """Creates `.venv` and runs the declared services under a supervisor in it."""

    name = "embedded"
    lock = environment.REQUIREMENTS

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        super().__init__(checkout, terminal)
        self.places = Places(checkout)
        self.runner = Runner(checkout, terminal, self.places)

    @property
    def runs(self) -> bool:
        """Whether any process of the stack runs on this engine, or was orphaned."""
        return self.runner.supervisor.answers or self.runner.leftover is not None

    # The stack

    def up(self, *, build: bool, debug: bool, timeout: float) -> bool:
        self._check()
        with self.checkout.lock(self.terminal, "up"), self.claims:
            debugged = self._debugged() if debug else {}
            declared = self._set_up(recheck=build)
            self._warn_of_missing(declared)
            given = self._settle(declared, list(declared.services))
            stack = self._stack(declared, given, debugged)
            programs = self._programs(stack)
            if self.runner.all_well(stack, programs) and self._is_ready(stack):
                return False
            code = self.code
            self.runner.supervise(stack, programs)
            self.runner.start(stack, programs, timeout)
            if _MIGRATED in "".join(texts.read(self.places.log(RELEASE)).splitlines()[-1:]):
                self.migrated(code)
            return True

    def down(self, *, volumes: bool) -> None:
        with self.checkout.lock(self.terminal, "down"):
            if not self._bring_down() and not volumes:
                self.terminal.mark(Mark.GOOD, "nothing was running")
            if volumes:
                with self.terminal.step("deleting the data"):
                    self._delete(_inside(self.places.data))

    def status(self) -> StackStatus:
        leftover = self.runner.leftover
        if leftover:
            self.terminal.warn(leftover)
            return report.left_over(self._declared(), self.runner, self.name)
        stack = self._present()
        names = self._tenant_names()
        return report.status(stack, self._programs(stack), self.runner, self.name, names)

    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        declared = self._declared()
        names = self._known(declared, services) or list(declared.services)
        files = [(name, self.places.log(name)) for name in names]
        logs.show(self.terminal, files, follow=follow, tail=tail)
        return 0

    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        self._check()
        with self.checkout.lock(self.terminal, "restart"), self.claims:
            self._must_run()
            declared = self._set_up()
            names = self._known(declared, services) or declared.long_running
            stopped = set(names) - self.runner.ports_in_use.keys()
            theirs = [port for port in declared.ports if port.service in stopped]
            busy = port_choice.busy(self.checkout, theirs, {})
            stack = self._stack(declared, self._settle(declared, [port.service for port in busy]))
            for port in stack.ports.values():
                self.claims.hold(port)
            self.runner.stop(stack.declaration, names, replaced=True)
            # Unchanged: keeps a server that `serve` chose.
            self.runner.start(
                stack, _only(self._programs(stack), names), timeout, as_declared=False
            )

    def serve(self, server: str, *, debug: bool, timeout: float) -> bool:
        debug_port = self.debug_port if debug else None
        with self.checkout.lock(self.terminal, "serve"):
            self._must_run()
            given = web.chosen(server, debug_port)
            stack = self._stack(self._declared(), self.ports(), {WEB: given})
            own = self.runner.debug_ports.get(WEB)
            if debug_port and debug_port != own and ports.listens(debug_port):
                raise debuggers.taken(WEB, debug_port)
            choice = web.Choice.of(given)
            program = dataclasses.replace(
                self._programs(stack)[WEB], ready=lambda _: choice.arrived(stack.ports[WEB])
            )
            before = self.runner.states[WEB].pid
            self.runner.start(stack, {WEB: program}, timeout)
            return self.runner.states[WEB].pid != before

    def remains(self) -> list[str]:
        states = self.runner.states
        processes = [f"process {name}" for name, state in states.items() if state.at_work]
        return processes + [self._short(path) for path in self._made()]

    def data(self) -> list[str]:
        found = sorted(_inside(self.places.data))
        # Collected static files can be recreated.
        kept = [path for path in found if path.name != "static" and path.suffix != ".pass"]
        return [self._short(path) for path in kept]

    def clean(self) -> None:
        with self.checkout.lock(self.terminal, "clean"):
            self._bring_down()
            with self.terminal.step("deleting data, logs and remembered ports"):
                self._delete(self._made())
            for subject in (chosen_ports.EMBEDDED_NOW, chosen_ports.EMBEDDED, local_stack.SUBJECT):
                self.checkout.forget(subject)

    # For the checks

    def ports(self) -> dict[str, int]:
        """The port of each running service, and the configured port of every other."""
        declared = self._declared().ports
        wanted = {port.service: port_choice.wanted(self.checkout, port) for port in declared}
        return {**wanted, **self.runner.ports_in_use}

    def taken_ports(self) -> tuple[list[Problem], bool]:
        """The ports that another program uses; and whether `up` may replace all of them."""
        return port_choice.taken(self.checkout, self._declared().ports, self.runner.ports_in_use)

    def database_version(self) -> tuple[int, int, Path]:
        """The major version of PostgreSQL that a start would use, that which wrote the data (0:
        there is none), and the data directory."""
        postgres = Postgres(self._present())
        return postgres.version, postgres.written, postgres.cluster

    def clusters(self, programs: Path | None) -> DirectoryClusters:
        if self.runs:
            raise DevError("the database runs", "./dev down")
        self._set_up()
        self.places.make_sockets()
        return DirectoryClusters(self._present(), programs)

    # Commands inside it

    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        command = ["python", "manage.py", *arguments]
        return self._run(RELEASE, command, given=self.account_variables)

    def release(self) -> int:
        return self._run(RELEASE)

    def shell(self, arguments: Sequence[str]) -> int:
        self._must_run(WEB)
        command = ["python", "manage.py", "shell", *arguments]
        return self._in_backend(command, self.variables_of(WEB))

    def execute(self, service: str, command: Sequence[str]) -> int:
        declared = self._declared()
        [name] = self._known(declared, [service])
        if declared.services[name].one_shot:
            raise runs_once(name)
        self._must_run(name)
        stack = self._present()
        variables = stack.environment_as_started(name)
        if name == DATABASE:
            variables.update(Postgres(stack).superuser_environment)
        return self._in_backend(command, variables)

    def _as_superuser(self, *options: str) -> tuple[Sequence[str], Mapping[str, str]]:
        self._must_run(DATABASE)
        return (), Postgres(self._present()).superuser_environment

    def memory(self) -> int:
        found = processes.marked(processes.marks(self.checkout.root))
        # PostgreSQL's processes overwrite their environment with their titles.
        return sum(map(processes.memory, processes.with_descendants(found)))

    def copy_files_to(self, other: Checkout) -> None:
        stack = self._present()
        apart = [
            stack.place(source)
            for name in (DATABASE, CACHE)
            for source in stack.declaration.services[name].volumes.values()
        ]
        target = Places(other).data
        for path in _inside(self.places.data):
            # A file beside the data has its name; an upgrade keeps the old data.
            if path.with_suffix("") in apart or path.stem.endswith(KEPT):
                continue
            if path.is_dir():
                shutil.copytree(path, target / path.name, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(path, target / path.name)

    def missing_packages(self) -> list[str]:
        return environment.missing(self.checkout)

    def empty_cache(self) -> None:
        stack = self._reached(CACHE)
        settings = stack.settings(stack.declaration.services[WEB])
        cache.empty(settings["REDIS_URL"], ports.LOOPBACK, stack.ports[CACHE])

    def test(self, arguments: Sequence[str], *, build: bool) -> int:
        return self._run(TESTS, arguments=arguments, recheck=build)

    def test_environment(self) -> Mapping[str, str]:
        stack = self._reached(DATABASE, CACHE)
        stack.make_places(stack.declaration.extra[TESTS])
        return stack.settings(stack.declaration.extra[TESTS])

    # The processes' environment

    def environment_at_start(self, service: str) -> Mapping[str, str] | None:
        stack = self._present()
        declared = stack.declaration.services.get(service)
        return stack.settings(declared) if declared else None

    def filled_in(self) -> Mapping[str, str]:
        now = self.ports()
        return {
            port.variable: str(now[port.service])
            for port in self._declared().ports
            if now[port.service] != port.default and not self.checkout.chosen(port.variable)
        }

    def ask(self, service: str, command: Sequence[str]) -> Result | None:
        states = self.runner.states
        if service not in states or not states[service].running:
            return None
        environment = self._present().environment_as_started(service)
        return capture(command, directory=self.checkout.root / "backend", environment=environment)

    # Before a start

    def _check(self) -> None:
        """Raise one DevError with all problems that prevent a start."""
        found = [
            *self.checkout.dotenv.problems,
            *files.windows_line_endings(self.checkout),
            *disk_space.of_checkout(self.checkout)[1],
        ]
        if found:
            raise DevError.of(found)
        for problem in self.checkout.dotenv.warnings:
            self.terminal.warn(problem)

    def _set_up(self, needed: int = environment.STACK, *, recheck: bool = False) -> Declaration:
        """Create the directories and `.venv`; read the declaration.

        Stops orphans of an earlier stack.
        """
        leftover = self.runner.leftover  # before deleted files are recreated
        self.places.make()
        environment.ensure(self.checkout, self.terminal, needed, recheck=recheck)
        declared = self._declared()
        self.runner.end_leftover(declared, leftover)
        return declared

    def _declared(self) -> Declaration:
        return runnable(self._as_written())

    def _as_written(self) -> Declaration:
        return local_stack.load(self.checkout, environment.python(self.checkout))

    def _warn_of_missing(self, declared: Declaration) -> None:
        missing = [name for name in self._as_written().services if name not in declared.services]
        if missing:
            said = f"without Docker there is no {', '.join(missing)}"
            self.terminal.warn(Problem(said, "use Docker: ./dev --engine compose up"))

    def _stack(
        self,
        declared: Declaration,
        given: Mapping[str, int],
        variables: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> Stack:
        python = environment.python(self.checkout)
        return Stack(self.checkout, self.places, declared, python, given, variables)

    def _present(self) -> Stack:
        """The stack as it is, for read-only commands; creates nothing."""
        return self._stack(self._declared(), self.ports())

    def _programs(self, stack: Stack) -> dict[str, Program]:
        """Every service as a process, in the order of their dependencies."""
        installed = environment.installed(self.checkout)
        programs = {}
        for name, service in stack.declaration.services.items():
            if name in STAND_INS:
                programs[name] = STAND_INS[name](stack)
            elif service.built:
                programs[name] = application.program(stack, service, installed)
            else:
                raise DevError(
                    f"the embedded engine cannot run {name}",
                    "use Docker: ./dev --engine compose up",
                )
        return programs

    def _settle(self, declared: Declaration, names: Sequence[str]) -> dict[str, int]:
        """Ports for `names` that are free or already theirs; for other services the likely ones."""
        needed = [port for port in declared.ports if port.service in names]
        own = self.runner.ports_in_use
        settled = port_choice.settle(self.checkout, self.terminal, self.claims, needed, own)
        return {**self.ports(), **settled}

    def _must_run(self, name: str = "") -> None:
        leftover = self.runner.leftover
        if leftover:
            raise DevError.of([leftover])
        states = self.runner.states
        if not states:
            raise DevError("the stack is not running", "start it: ./dev up")
        if name and not states[name].running:
            raise DevError(f"{name} is not running", "start the stack: ./dev up")

    def _reached(self, *names: str) -> Stack:
        """The stack. Raises DevError unless all of `names` listen on their ports."""
        stack = self._present()
        for name in names:
            self._must_run(name)
            if not runner.listens(stack, self.runner.states[name]):
                raise DevError(
                    f"{name} does not listen on port {stack.ports[name]}",
                    "restart the stack: ./dev down, then ./dev up",
                )
        return stack

    def _debugged(self) -> dict[str, dict[str, str]]:
        """The variables that run web and worker under debuggers, by service."""
        own = self.runner.debug_ports
        given = {}
        for name in debuggers.PORTS:
            port = debuggers.port(self.checkout, name)
            if own.get(name) != port and not self.claims.take(port):
                raise debuggers.taken(name, port)
            given[name] = debuggers.variables(port)
        served = self.runner.served
        # A server that already runs under a debugger is kept: an editor may be attached.
        if served and served.debug_port and web.SERVER not in self.checkout.variables:
            given[WEB][web.SERVER] = served.server
        return given

    def _is_ready(self, stack: Stack) -> bool:
        answer = health.ask(stack.ports[WEB])
        return answer is not None and answer.ok

    # Commands inside

    def _run(
        self,
        name: str,
        command: Sequence[str] = (),
        *,
        arguments: Sequence[str] = (),
        recheck: bool = False,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """Run `command`, or the declared one with `arguments`, with the database and Redis."""
        self._check()
        with self.checkout.lock(self.terminal, name):
            needed = environment.CHECKS if name == TESTS else environment.STACK
            declared = self._set_up(needed, recheck=recheck)
            service = {**declared.services, **declared.extra}[name]
            stack = self.started(lambda: self._with_what_it_needs(declared, service))
            stack.make_places(service)
        command = command or [*service.command, *arguments]
        return self._in_backend(command, {**stack.environment(service), **given})

    def _with_what_it_needs(self, declared: Declaration, service: Service) -> Stack:
        """The stack, with the long-running dependencies of `service` started."""
        needed = [name for name in declared.long_running if name in service.needs]
        states = self.runner.states
        if all(name in states and states[name].running for name in needed):
            return self._reached(*needed)
        with self.claims:
            # A new supervisor opens web's socket at once.
            opened = needed if self.runner.supervisor.answers else [*needed, WEB]
            stack = self._stack(declared, self._settle(declared, opened))
            programs = self._programs(stack)
            self.runner.supervise(stack, programs)
            self.runner.start(stack, _only(programs, needed), timeout=60)
        self.terminal.say(f"  {' and '.join(needed)} keep running; ./dev down stops them")
        return stack

    def variables_of(self, name: str) -> dict[str, str]:
        """The environment of a command that runs as the service `name`."""
        stack = self._present()
        return stack.environment(stack.declaration.services[name])

    def _known(self, declared: Declaration, services: Sequence[str]) -> list[str]:
        names = [local_stack.HOSTED.get(name, name) for name in services]
        must_be_known("service", names, declared.services)
        return list(dict.fromkeys(names))

    # Stopping, and remaining files

    def _bring_down(self) -> bool:
        """Stop everything; return whether anything was running."""
        leftover = self.runner.leftover
        if self.runner.supervisor.answers and not leftover:
            self.runner.stop_all(self._declared())
            return True
        return bool(self.runner.end_leftover(self._declared(), leftover))

    def _made(self) -> list[Path]:
        made = (self.places.data, self.places.logs, self.places.scripts, self.places.outside)
        return [path for path in made if path.exists()]

    def _short(self, path: Path) -> str:
        root = self.checkout.root
        return str(path.relative_to(root)) if root in path.parents else str(path)

    def _delete(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with self.checkout.writing():
                if path.is_symlink():
                    if self.places.leads_outside(path):
                        shutil.rmtree(path.resolve(), ignore_errors=True)
                    path.unlink()
                elif path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _only(programs: Mapping[str, Program], names: Sequence[str]) -> dict[str, Program]:
    return {name: program for name, program in programs.items() if name in names}


def _inside(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []
