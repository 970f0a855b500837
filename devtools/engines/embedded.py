"""The engine without Docker: the same services as processes of this machine."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from .. import addresses, environment, health, ports, readiness
from ..checkout import Checkout
from ..checks import environment_file, line_endings, space
from ..embedded import application, declaration, logs
from ..embedded.declaration import Declaration, Port, Service
from ..embedded.places import Places
from ..embedded.postgres import Postgres
from ..embedded.stack import Program, Stack
from ..embedded.supervisor import State, Supervisor
from ..embedded.valkey import Valkey
from ..errors import DevError, Problem, UsageError
from ..nearest import nearest
from ..process import capture, hand_over
from ..readiness import Verdict
from ..services import CACHE, DATABASE, RELEASE, TESTS, WEB
from ..status import ServiceStatus, StackStatus
from ..terminal import Mark, Terminal
from .base import Engine

SERVER = "SERVER"

# The ports of the stack that is up.
SUBJECT = "embedded"


class EmbeddedEngine(Engine):
    """Sets `.venv` up, then talks to a supervisor; keeps the ports of what it started."""

    name = "embedded"

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        self.checkout = checkout
        self.terminal = terminal
        self.places = Places(checkout)

    @property
    def runs(self) -> bool:
        """Whether something of the stack is up on this engine."""
        return self.supervisor.answers

    # The stack

    def up(self, *, auto_ports: bool, build: bool, timeout: float) -> bool:
        self._check()
        with self.checkout.lock(self.terminal, "up"):
            python = self._set_up(anew=build)
            self._end_orphans()
            stack = self._stack(python, self._settle_ports(self._declared(python)))
            programs = self._programs(stack)
            if self._nothing_changed(stack, programs):
                return False
            self._supervise(stack, programs)
            self._start(stack, programs, timeout)
            return True

    def down(self, *, volumes: bool) -> None:
        with self.checkout.lock(self.terminal, "down"):
            if self.supervisor.answers:
                self._stop_all()
            elif self._end_orphans():
                pass
            elif not volumes:
                self.terminal.mark(Mark.GOOD, "nothing was up")
            if volumes:
                self._delete(path for path in (self.places.data,) if path.exists())

    def status(self) -> StackStatus:
        stack = self._present()
        states = self._states()
        running = {name for name, state in states.items() if state.running}
        port = stack.ports.get(WEB, 0)
        return StackStatus(
            engine=self.name,
            project=self.checkout.root.name,
            services=[
                self._service_status(stack, service, states.get(name))
                for name, service in stack.declaration.services.items()
            ],
            health=health.ask(port) if WEB in running else None,
            addresses=self._addresses(stack, running),
            tenants=self._tenants(stack, running),
        )

    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        known = self._present().declaration.services
        names = self._known(services, known) or list(known)
        files = [(name, self.places.log(name)) for name in names]
        logs.show(self.terminal, files, follow=follow, tail=tail)
        return 0

    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        self._check()
        with self.checkout.lock(self.terminal, "restart"):
            self._must_run()
            stack = self._stack(self._set_up(), self._ports_in_use)
            programs = self._programs(stack)
            known = stack.declaration.services
            names = self._known(services, known) or stack.declaration.long_running
            self._stop(stack, names)
            # As they were: a server that `serve` chose stays.
            self._start(stack, _only(programs, names), timeout, anew=False)

    def serve(self, server: str, *, timeout: float) -> bool:
        self._check()
        with self.checkout.lock(self.terminal, "serve"):
            self._must_run()
            if self._answers(server):
                return False
            stack = self._stack(self._set_up(), self._ports_in_use, {SERVER: server})
            programs = _only(self._programs(stack), [WEB])
            self._start(stack, programs, timeout, arrived=lambda: self._answers(server))
            return True

    def remains(self) -> list[str]:
        processes = [f"process {name}" for name, state in self._states().items() if state.at_work]
        return processes + [self._short(path) for path in self._made()]

    def data(self) -> list[str]:
        return [self._short(path) for path in self._data()]

    def clean(self) -> None:
        with self.checkout.lock(self.terminal, "clean"):
            if self.supervisor.answers:
                self._stop_all()
            self._end_orphans()
            with self.terminal.step("deleting data, logs and remembered ports"):
                self._delete(self._made())
            for subject in (SUBJECT, declaration.SUBJECT, ports.SUBJECT):
                self.checkout.forget(subject)

    # Commands inside it

    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        return self._run(RELEASE, "python", "manage.py", *arguments)

    def release(self) -> int:
        return self._run(RELEASE)

    def shell(self, arguments: Sequence[str]) -> int:
        self._must_run(WEB)
        return self._hand_over(self._present(), WEB, "python", "manage.py", "shell", *arguments)

    def psql(self, arguments: Sequence[str]) -> int:
        self._must_run(DATABASE)
        postgres = Postgres(self._present())
        return hand_over(
            postgres.psql(*arguments),
            directory=Path.cwd(),
            environment={**self.checkout.variables, **postgres.psql_environment},
        )

    def test(self, arguments: Sequence[str], *, auto_ports: bool, build: bool) -> int:
        return self._run(TESTS, anew=build, arguments=arguments)

    # Before a start

    def _check(self) -> None:
        """Raise one DevError with all that would keep the stack from starting."""
        found = [
            *environment_file.problems(self.checkout),
            *line_endings.problems(self.checkout),
            *space.problems(self.checkout),
        ]
        if found:
            raise DevError.of(found)

    def _set_up(self, *, anew: bool = False) -> Path:
        """The Python of a `.venv` that has all it needs, and the directories."""
        self.places.make()
        return environment.ensure(self.checkout, self.terminal, anew=anew)

    def _declared(self, python: Path) -> Declaration:
        return declaration.load(self.checkout, python)

    def _stack(
        self,
        python: Path,
        given: Mapping[str, int],
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Stack:
        return Stack(self.checkout, self.places, self._declared(python), python, given, variables)

    def _present(self) -> Stack:
        """The stack as it is, without making anything: for commands that only look."""
        python = environment.python(self.checkout)
        given = self._ports_in_use
        declared = self._declared(python)
        fallback = {port.service: self._wanted(port) for port in declared.ports}
        return Stack(self.checkout, self.places, declared, python, {**fallback, **given})

    def _programs(self, stack: Stack) -> dict[str, Program]:
        """Every service as a process, in the order of what they wait for."""
        stand_ins = {DATABASE: Postgres, CACHE: Valkey}
        installed = environment.installed(self.checkout)
        programs = {}
        for name, service in stack.declaration.services.items():
            if name in stand_ins:
                programs[name] = stand_ins[name](stack).program()
            elif service.built:
                programs[name] = application.program(stack, service, installed)
            else:
                raise DevError(
                    f"the embedded engine has nothing that stands for {name}",
                    "use Docker: ./dev --engine compose up",
                )
        return programs

    def _settle_ports(self, declared: Declaration) -> dict[str, int]:
        """A port for each service: the chosen, remembered or default one if free, else the next."""
        own = self._ports_in_use
        remembered = ports.remembered(self.checkout)
        given: dict[str, int] = {}
        taken = []
        for port in declared.ports:
            wanted = self._wanted(port)
            free = ports.is_free(wanted) and wanted not in given.values()
            if free or own.get(port.service) == wanted:
                given[port.service] = wanted
            elif self.checkout.chosen(port.variable):
                taken.append(self._explain(port, wanted))
            else:
                others = {*given.values(), *map(self._wanted, declared.ports)}
                number = ports.next_free(wanted, others)
                given[port.service] = number
                remembered[port.variable] = str(number)
                holder = ports.holder(wanted) or "another program"
                self.terminal.mark(
                    Mark.WARNING,
                    f"{port.service} gets port {number} ({port.variable}): "
                    f"{wanted} is taken by {holder}",
                )
        if taken:
            raise DevError.of(taken)
        if remembered:
            self.checkout.remember(ports.SUBJECT, remembered)
        return given

    def _wanted(self, port: Port) -> int:
        chosen = self.checkout.chosen(port.variable)
        if chosen and not ports.valid(chosen):
            raise DevError(
                f"{port.variable}={chosen!r} (in {self.checkout.where_chosen(port.variable)}) "
                "must be a port from 1 to 65535"
            )
        return int(chosen or ports.remembered(self.checkout).get(port.variable, port.default))

    def _explain(self, port: Port, number: int) -> Problem:
        holder = ports.holder(number) or "another program"
        where = self.checkout.where_chosen(port.variable)
        return Problem(
            f"port {number} for {port.service} ({port.variable}) is taken by {holder}",
            f"remove {port.variable} from {where}: a free one is then found\n"
            f"or choose another: {port.variable}={ports.next_free(number)} ./dev up",
        )

    @property
    def _ports_in_use(self) -> dict[str, int]:
        """The ports of the services that run, by service."""
        recorded = self.checkout.recall(SUBJECT)
        return {
            name: recorded[name]
            for name, state in self._states().items()
            if state.at_work and name in recorded
        }

    def _nothing_changed(self, stack: Stack, programs: Mapping[str, Program]) -> bool:
        """Whether the last `up` still stands: the same processes, all well, and migrated."""
        states = self._states()
        if set(states) != set(programs) or self.supervisor.configured_otherwise(programs.values()):
            return False
        if any(self._differs(program) for program in programs.values()):
            return False
        well = all(
            self._verdict(stack, program, states[name]).mark is Mark.GOOD
            for name, program in programs.items()
        )
        answer = health.ask(stack.ports[WEB]) if well else None
        return answer is not None and answer.ok

    # Starting and stopping

    @cached_property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.places, environment.python(self.checkout))

    def _states(self) -> dict[str, State]:
        return self.supervisor.states() if self.supervisor.answers else {}

    def _supervise(self, stack: Stack, programs: Mapping[str, Program]) -> None:
        """A supervisor that knows `programs` and no others."""
        listed = list(programs.values())
        answers = self.supervisor.answers
        if answers and self.supervisor.configured_otherwise(listed):
            self._stop_all()
            self.places.make()
            answers = False
        self.checkout.remember(SUBJECT, dict(stack.ports))
        if not answers:
            self.supervisor.configure(listed)
            self.supervisor.launch(stack.kept())

    def _start(
        self,
        stack: Stack,
        programs: Mapping[str, Program],
        timeout: float,
        *,
        anew: bool = True,
        arrived=lambda: False,
    ) -> None:
        """Start what of `programs` does not run as it should, each when what it needs is well.

        Without `anew` each is started as it was the last time.
        """
        before = self._states()
        unwell = [
            name
            for name, program in programs.items()
            if before[name].at_work
            and (not before[name].running or (anew and self._differs(program)))
        ]
        if unwell:
            self._stop(stack, unwell)
        going = {name for name in programs if before[name].running and name not in unwell}
        for name in programs:
            if name not in going:
                self._prepare(programs[name], anew)
        well: dict[str, tuple[int, Verdict]] = {}

        def look() -> dict[str, Verdict]:
            for name, program in programs.items():
                needed = [other for other in program.service.needs if other in programs]
                if name not in going and all(other in well for other in needed):
                    self.supervisor.start(name)
                    going.add(name)
            states = self._states()
            verdicts = {}
            for name, program in programs.items():
                state = states[name]
                if name not in going:
                    verdicts[name] = Verdict(Mark.WAITING, "waiting")
                elif name in well and well[name][0] == state.pid:
                    verdicts[name] = well[name][1]  # as it was: asking it again costs time
                else:
                    verdicts[name] = self._verdict(stack, program, state)
                    well.pop(name, None)
                if verdicts[name].mark is Mark.GOOD:
                    well[name] = (state.pid, verdicts[name])
            return verdicts

        readiness.follow(
            self.terminal,
            list(programs),
            look,
            lambda name, state: self._failure(stack, name, state),
            timeout,
            arrived=arrived,
            interval=readiness.QUICK,
        )

    def _prepare(self, program: Program, anew: bool) -> None:
        step = self.terminal.step(program.preparation) if program.preparation else None
        with step or contextlib.nullcontext():
            program.prepare()
        script = self.places.script(program.service.name)
        if anew or not script.exists():
            self.places.write(script, program.script, mode=0o700)

    def _differs(self, program: Program) -> bool:
        """Whether it was last started in another way."""
        try:
            return self.places.script(program.service.name).read_text() != program.script
        except OSError:
            return True

    def _verdict(self, stack: Stack, program: Program, state: State) -> Verdict:
        """Where a service stands that was started."""
        service = program.service
        if service.one_shot:
            if state.at_work:
                return Verdict(Mark.BUSY, "running")
            if state.exit_status or state.word != "EXITED":
                return Verdict(Mark.BAD, f"failed (exit status {state.exit_status})")
            return Verdict(Mark.GOOD, "completed")
        if state.word == "FATAL":
            return Verdict(Mark.BAD, f"crashed (exit status {state.exit_status})")
        if state.word == "STOPPED":
            return Verdict(Mark.BAD, "stopped")
        if not state.running:
            return Verdict(Mark.BUSY, "crashing")
        port = stack.ports.get(service.name)
        # Another program may have taken the port since it was found free, and answer.
        if (not port or ports.held_by(state.pid, port)) and program.ready(state.since):
            return Verdict(Mark.GOOD, "healthy")
        if time.time() - state.since > service.start_period:
            return Verdict(Mark.BAD, "unhealthy")
        return Verdict(Mark.BUSY, "starting")

    def _failure(self, stack: Stack, name: str, state: str) -> DevError:
        found = self._states().get(name)
        for port in stack.declaration.services[name].ports:
            number = stack.ports[name]
            if not ports.is_free(number) and not (found and ports.held_by(found.pid, number)):
                holder = ports.holder(number) or "another program"
                return DevError(
                    f"{name}: port {number} ({port.variable}) was taken meanwhile by {holder}",
                    "./dev up   finds another",
                )
        try:
            log = self.places.log(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            log = ""
        return readiness.failure(self.terminal, name, state, log)

    def _stop(self, stack: Stack, names: Iterable[str]) -> None:
        services = stack.declaration.services
        ordered = [
            service.name for service in _stopping(services.values()) if service.name in names
        ]
        with self.terminal.step("stopping " + ", ".join(ordered)):
            grace = {name: services[name].stop_grace_period for name in ordered}
            self.supervisor.stop(ordered, grace)

    def _stop_all(self) -> None:
        stack = self._present()
        states = self._states()
        known = stack.declaration.services
        there = [name for name, state in states.items() if state.at_work]
        grace = {name: s.stop_grace_period for name, s in known.items()}
        first = [service.name for service in _stopping(known.values()) if service.name in there]
        others = [name for name in there if name not in known]
        with self.terminal.step("stopping " + (", ".join(others + first) or "the supervisor")):
            self.supervisor.stop(others + first, {**dict.fromkeys(others, 30), **grace})
            self.supervisor.shut_down()
        self._forget_run()

    def _end_orphans(self) -> list[str]:
        """End what runs without its supervisor, if there may be something."""
        if not self._orphaned:
            return []
        services = _stopping(self._present().declaration.services.values())
        signals = [(s.name, "INT" if s.name == DATABASE else "TERM") for s in services]
        found = self.supervisor.end_orphans(signals)
        if found:
            names = ", ".join(found)
            self.terminal.mark(Mark.WARNING, f"ended what a killed supervisor left: {names}")
        self._forget_run()
        return found

    @property
    def _orphaned(self) -> float:
        """When the supervisor started that is gone without having stopped; 0 if none is."""
        if self.supervisor.answers:
            return 0
        try:
            return self.places.supervisor_socket.stat().st_ctime
        except OSError:
            return 0

    def _forget_run(self) -> None:
        self.checkout.forget(SUBJECT)
        shutil.rmtree(self.places.sockets, ignore_errors=True)
        self.places.make()

    def _must_run(self, name: str = "") -> None:
        states = self._states()
        if not states:
            raise DevError("the stack is not up", "start it: ./dev up")
        if name and not states[name].running:
            raise DevError(f"{name} is not running", "start the stack: ./dev up")

    # Commands inside

    def _run(
        self, name: str, *command: str, arguments: Sequence[str] = (), anew: bool = False
    ) -> int:
        """Run `command`, or the declared one with `arguments`, with the database and Redis."""
        self._check()
        with self.checkout.lock(self.terminal, name):
            python = self._set_up(anew=anew)
            self._end_orphans()
            declared = self._declared(python)
            given = self._settle_ports(declared)
            stack = self._stack(python, {**given, **self._ports_in_use})
            service = {**declared.services, **declared.extra}[name]
            stack.make_places(service)
            self._ensure_running(stack, service)
        return self._hand_over(stack, name, *(command or [*service.command, *arguments]))

    def _ensure_running(self, stack: Stack, service: Service) -> None:
        programs = self._programs(stack)
        needed = [n for n in programs if n in service.needs and not programs[n].service.one_shot]
        states = self._states()
        if all(n in states and states[n].running for n in needed):
            return
        self._supervise(stack, programs)
        self._start(stack, _only(programs, needed), timeout=60)
        self.terminal.say(f"  {' and '.join(needed)} stay up; ./dev down stops them")

    def _hand_over(self, stack: Stack, name: str, *command: str) -> int:
        service = {**stack.declaration.services, **stack.declaration.extra}[name]
        program, *arguments = command
        found = shutil.which(program, path=stack.environment(service)["PATH"]) or program
        return hand_over(
            [found, *arguments],
            directory=stack.backend,
            environment=stack.environment(service),
        )

    def _known(self, services: Sequence[str], known: Iterable[str]) -> list[str]:
        for name in services:
            if name not in known:
                raise UsageError(f"there is no service {name!r}", nearest(name, known))
        return list(services)

    # What there is

    def _service_status(self, stack: Stack, service: Service, state: State | None) -> ServiceStatus:
        if state is None and self._orphaned:
            since = datetime.fromtimestamp(self._orphaned, timezone.utc).isoformat()
            return ServiceStatus(service.name, "no supervisor", False, since, None, None)
        if state is None or not state.since:
            return ServiceStatus(service.name, "not up", False, None, None, None)
        program = self._programs(stack)[service.name]
        verdict = self._verdict(stack, program, state)
        since = datetime.fromtimestamp(state.since, timezone.utc)
        port = stack.ports.get(service.name)
        return ServiceStatus(
            name=service.name,
            state=verdict.state,
            well=verdict.mark is Mark.GOOD,
            since=since.isoformat(),
            uptime_seconds=max(0, int(time.time() - state.since)) if state.running else None,
            address=f"{ports.LOOPBACK}:{port}" if port and state.running else None,
        )

    def _addresses(self, stack: Stack, running: set[str]) -> dict[str, str]:
        found = {}
        if WEB in running:
            found.update(addresses.pages(stack.ports[WEB]))
        if DATABASE in running:
            postgres = Postgres(stack)
            port = stack.ports[DATABASE]
            found[DATABASE] = addresses.database(postgres.user, port, postgres.database)
        if CACHE in running:
            found[CACHE] = addresses.cache(stack.ports[CACHE])
        return found

    def _tenants(self, stack: Stack, running: set[str]) -> dict[str, str]:
        """The address of each tenant in the database; none while that does not answer."""
        if not {WEB, DATABASE} <= running:
            return {}
        postgres = Postgres(stack)
        found = capture(
            postgres.psql("-Atc", addresses.TENANTS_QUERY),
            directory=self.checkout.root,
            environment=postgres.psql_environment,
        )
        return addresses.tenants(found.output.split() if found.ok else (), stack.ports[WEB])

    def _answers(self, server: str) -> bool:
        port = self._ports_in_use.get(WEB)
        answer = health.ask(port) if port else None
        return answer is not None and answer.server == server

    def _data(self) -> list[Path]:
        found = sorted(_inside(self.places.data))
        return [path for path in found if path.is_dir() and path.name != "static"]

    def _made(self) -> list[Path]:
        made = (self.places.data, self.places.logs, self.places.scripts, self.places.outside)
        return [path for path in made if path.exists()]

    def _short(self, path: Path) -> str:
        root = self.checkout.root
        return str(path.relative_to(root)) if root in path.parents else str(path)

    def _delete(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                if path.is_symlink():
                    shutil.rmtree(path.resolve(), ignore_errors=True)
                    path.unlink()
                elif path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except OSError as error:
                raise self.checkout.unwritable(error) from error


def _stopping(services: Iterable[Service]) -> list[Service]:
    """Services in the order in which they stop: the application first, then what it uses."""
    services = list(services)
    return [s for s in services if s.built] + [s for s in reversed(services) if not s.built]


def _only(programs: Mapping[str, Program], names: Sequence[str]) -> dict[str, Program]:
    return {name: program for name, program in programs.items() if name in names}


def _inside(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []
