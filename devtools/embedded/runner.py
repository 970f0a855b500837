"""Starting programs under the supervisor in the order of their dependencies, and stopping them."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from typing import Callable

from .. import chosen_ports, debuggers, environment, ports, readiness, texts
from ..checkout import Checkout
from ..declared.local_stack import Declaration, Service
from ..errors import DevError, Problem
from ..readiness import Verdict
from ..services import WEB
from ..supervision import web
from ..supervision.client import Crashes, State
from ..terminal import Mark, Terminal
from . import port_choice
from .places import Places
from .postgres import STOP_SIGNAL
from .stack import Program, Stack
from .supervisor import Supervisor

# Seconds between two looks at a start. One takes about 20 ms of a processor, that of ./dev and of
# the supervisor, which the start needs as well.
_INTERVAL = 0.1


class Runner:
    """Starts, stops and inspects the processes of this checkout."""

    def __init__(self, checkout: Checkout, terminal: Terminal, places: Places) -> None:
        self.checkout = checkout
        self.terminal = terminal
        self.places = places
        self.supervisor = Supervisor(places, environment.python(checkout))

    # State

    @property
    def states(self) -> dict[str, State]:
        """Every process that the supervisor manages, by service; none without a supervisor."""
        return self.supervisor.states() if self.supervisor.answers else {}

    @property
    def ports_in_use(self) -> dict[str, int]:
        """The ports of the running services, by service.

        One that crashes has its port only if it listens there: another program may have taken it.
        A failed start leaves web stopped and its socket open.
        """
        recorded = self._recorded_ports
        return {
            name: recorded[name]
            for name, state in self.states.items()
            if name in recorded
            if (state.at_work and not state.crashed) or ports.held_by(state.holder, recorded[name])
        }

    @property
    def _recorded_ports(self) -> dict[str, int]:
        beside = texts.json_object(texts.read(self.places.ports))
        return self.checkout.recall(chosen_ports.EMBEDDED_NOW) or beside

    @property
    def leftover(self) -> Problem | None:
        """The problem with orphaned processes that the next start must stop; None without any."""
        if self.supervisor.answers:
            if not self._deleted:
                return None
            return Problem(
                f"deleted while the stack was up: {', '.join(self._deleted)}",
                "./dev up   stops the remaining processes and restarts on the same ports",
            )
        if not self.left_alone_since:
            return None
        moved_from = self.checkout.identity.moved_from
        return Problem(
            f"the stack was up while this folder was moved from {moved_from}"
            if moved_from
            else "the supervisor was killed: its processes still run, or their files remain",
            "./dev up   stops the old processes and starts again; only to stop: ./dev down",
        )

    @property
    def _deleted(self) -> list[str]:
        """The deleted paths of the checkout that a running stack needs."""
        needed = (self.supervisor.configuration, environment.python(self.checkout))
        root = self.checkout.root
        return [path.relative_to(root).parts[0] for path in needed if not path.exists()]

    @property
    def left_alone_since(self) -> float:
        """When a supervisor that was killed had started; 0 if none was."""
        if self.supervisor.answers:
            return 0
        sockets = (supervisor.socket for supervisor in self._supervisors)
        return next((found.stat().st_ctime for found in sockets if found.exists()), 0)

    @property
    def _supervisors(self) -> list[Supervisor]:
        """The supervisors that may own this checkout's processes, including its old path's."""
        moved_from = self.checkout.identity.moved_from
        if moved_from is None:
            return [self.supervisor]
        before = Places(Checkout(moved_from, self.checkout.variables))
        return [self.supervisor, Supervisor(before, environment.python(self.checkout))]

    def all_well(self, stack: Stack, programs: Mapping[str, Program]) -> bool:
        """Whether exactly `programs` run, in their current version and healthy."""
        states = self.states
        return (
            set(states) == set(programs)
            and not self.supervisor.configured_otherwise(programs.values())
            and not any(map(self._differs, programs.values()))
            and all(
                verdict(stack, program, states[name]).mark is Mark.GOOD
                for name, program in programs.items()
            )
        )

    # Starting

    def supervise(self, stack: Stack, programs: Mapping[str, Program]) -> None:
        """Ensure that a supervisor runs that manages exactly `programs`."""
        listed = list(programs.values())
        if self.supervisor.answers and self.supervisor.configured_otherwise(listed):
            self.stop_all(stack.declaration)
        self.checkout.remember(chosen_ports.EMBEDDED_NOW, dict(stack.ports))
        self.places.make_sockets()
        self.checkout.write(self.places.ports, json.dumps(dict(stack.ports)))
        if not self.supervisor.answers:
            self.supervisor.configure(listed)
            self._open_socket(stack, WEB, lambda: self.supervisor.launch(stack.kept()))

    def start(
        self,
        stack: Stack,
        programs: Mapping[str, Program],
        timeout: float,
        *,
        as_declared: bool = True,
    ) -> None:
        """Start the `programs` that do not run as they should; wait until all are healthy.

        Without `as_declared`, each starts with its last script.
        """
        going = self._as_they_should(stack, programs, as_declared)
        healthy: dict[str, tuple[int, Verdict]] = {}
        crashes = Crashes()

        def begin(names: Iterable[str]) -> None:
            for name in names:
                needed = [other for other in programs[name].service.needs if other in programs]
                if name not in going and all(other in healthy for other in needed):
                    self._start(stack, name)
                    going.add(name)

        # What is slow to prepare comes last; the others start meanwhile.
        for name in sorted(programs, key=lambda name: bool(programs[name].preparation)):
            if name not in going:
                self._prepare(programs[name], as_declared)
                begin([name])

        def look() -> dict[str, Verdict]:
            begin(programs)
            states = self.supervisor.states()
            verdicts = {}
            for name, program in programs.items():
                state = states[name]
                if name not in going:
                    verdicts[name] = Verdict(Mark.WAITING, "waiting")
                elif name in healthy and healthy[name][0] == state.pid:
                    verdicts[name] = healthy[name][1]  # checking it again costs time
                elif crashes.are_too_many(state):
                    verdicts[name] = _crashed(state)
                else:
                    verdicts[name] = verdict(stack, program, state)
                    healthy.pop(name, None)
                if verdicts[name].mark is Mark.GOOD:
                    healthy[name] = (state.pid, verdicts[name])
            return verdicts

        readiness.follow(
            self.terminal,
            list(programs),
            look,
            lambda name, state: self._failure(stack, name, state),
            timeout,
            interval=_INTERVAL,
        )

    def _start(self, stack: Stack, name: str) -> None:
        self._open_socket(stack, name, lambda: self.supervisor.start(name))

    def _open_socket(self, stack: Stack, name: str, begin: Callable[[], None]) -> None:
        """Call `begin`, which opens the socket of the service `name` if it has one.

        Raises PortLost if another program listens on its port, DevError for another failure.
        """
        try:
            begin()
        except DevError as error:
            if lost := self._lost_port(stack, name):
                raise lost from error
            # A program that looks whether a port is free has it for a moment; other starts look.
            begin()

    def _as_they_should(
        self, stack: Stack, programs: Mapping[str, Program], as_declared: bool
    ) -> set[str]:
        """The names of the programs that can keep running; stops those that have changed."""
        states = self.states
        at_work = [name for name in programs if states[name].at_work]
        wrong = [
            name
            for name in at_work
            if not states[name].running
            or (as_declared and self._differs(programs[name]))
            or verdict(stack, programs[name], states[name]).mark is Mark.BAD
        ]
        if wrong:
            self.stop(stack.declaration, wrong, replaced=True)
        return set(at_work) - set(wrong)

    def _prepare(self, program: Program, as_declared: bool) -> None:
        step = self.terminal.step(program.preparation) if program.preparation else None
        with step or contextlib.nullcontext():
            program.prepare()
        script = self.places.script(program.service.name)
        if as_declared or not script.exists():
            self.checkout.write(script, program.script, mode=0o700)

    @property
    def debug_ports(self) -> dict[str, int]:
        """The debugger's port of each service that runs under a debugger."""
        states = self.states
        found = {
            name: web.exported(self.places.script(name)).get(debuggers.PORT_VARIABLE, "")
            for name in debuggers.PORTS
            if name in states and states[name].at_work
        }
        return {name: int(port) for name, port in found.items() if ports.valid(port)}

    @property
    def served(self) -> web.Choice | None:
        """The server that runs; None without one."""
        states = self.states
        if not (WEB in states and states[WEB].at_work):
            return None
        return web.Choice.of(web.exported(self.places.script(WEB)))

    def _differs(self, program: Program) -> bool:
        """Whether its last start used another script."""
        return texts.read(self.places.script(program.service.name)) != program.script

    def _lost_port(self, stack: Stack, name: str) -> DevError | None:
        """The error that another program uses the port of `name`; None if none does."""
        found = self.states.get(name)
        for port in stack.declaration.services[name].ports:
            number = stack.ports[name]
            if not ports.is_free(number) and not (found and ports.held_by(found.holder, number)):
                return port_choice.lost(port, number)
        return None

    def _failure(self, stack: Stack, name: str, state: str) -> DevError:
        if lost := self._lost_port(stack, name):
            return lost
        return readiness.failure(self.terminal, name, state, texts.read(self.places.log(name)))

    # Stopping

    def stop(self, declared: Declaration, names: Iterable[str], *, replaced: bool = False) -> None:
        """Stop `names`: the application, then what it uses, each within its grace period.

        With `replaced`, requests to web wait for the next server.
        """
        names = list(names)
        services = [service for service in stopping(declared) if service.name in names]
        application = {one.name: one.stop_grace_period for one in services if one.built}
        # A service that is no longer declared is known only by name.
        application |= {name: 10.0 for name in names if name not in declared.services}
        if replaced and WEB in application:
            application[WEB] = web.PATIENCE
        used = {one.name: one.stop_grace_period for one in services if not one.built}
        shown = ", ".join((*application, *used)) or "the supervisor"
        with self.terminal.step(f"stopping {shown}"):
            for grace in (application, used):
                self.supervisor.stop(grace, keep_socket=replaced)

    def stop_all(self, declared: Declaration) -> None:
        """Stop everything, including the supervisor."""
        self.stop(declared, [name for name, state in self.states.items() if state.at_work])
        self.supervisor.shut_down()
        self._forget()

    def end_leftover(self, declared: Declaration, leftover: Problem | None) -> list[str]:
        """Stop the processes of `leftover` and report that; return the services' names."""
        if leftover is None:
            self.checkout.settle()
            return []
        self.terminal.mark(Mark.WARNING, leftover.what)
        if not self.supervisor.configuration.exists():
            port_choice.keep(self.checkout, declared.ports, self._recorded_ports)
        if self.supervisor.answers:
            found = list(self.states)
            self.stop_all(declared)
        else:
            found = self._end_orphans(declared)
        self.checkout.settle()
        return found

    def _end_orphans(self, declared: Declaration) -> list[str]:
        """Stop processes without a supervisor."""
        signals = [
            (service.name, signal.Signals[f"SIG{STOP_SIGNAL.get(service.name, 'TERM')}"])
            for service in stopping(declared)
        ]
        found = [name for one in self._supervisors for name in one.end_orphans(signals)]
        if found:
            self.terminal.mark(Mark.WARNING, f"stopped: {', '.join(found)}")
        self._forget()
        return found

    def _forget(self) -> None:
        self.checkout.forget(chosen_ports.EMBEDDED_NOW)
        for supervisor in self._supervisors:
            shutil.rmtree(supervisor.socket.parent, ignore_errors=True)


def verdict(stack: Stack, program: Program, state: State) -> Verdict:
    """The verdict on a started service."""
    service = program.service
    if service.one_shot:
        if state.at_work:
            return Verdict(Mark.BUSY, "running")
        if state.exit_status or state.word != "EXITED":
            return Verdict(Mark.BAD, f"failed (exit status {state.exit_status})")
        return Verdict(Mark.GOOD, "completed")
    if state.word == "FATAL":
        return _crashed(state)
    if state.word == "STOPPED":
        return Verdict(Mark.BAD, "stopped")
    if not state.running:
        return Verdict(Mark.BUSY, "crashing")
    if listens(stack, state) and program.ready(state.since):
        return Verdict(Mark.GOOD, "healthy")
    if time.time() - state.since > service.start_period:
        return Verdict(Mark.BAD, "unhealthy")
    return Verdict(Mark.BUSY, "starting")


def _crashed(state: State) -> Verdict:
    return Verdict(Mark.BAD, state.crash)


def listens(stack: Stack, state: State) -> bool:
    """Whether a service itself listens on its port, if it has one: another program might."""
    port = stack.ports.get(state.name)
    return not port or ports.held_by(state.pid, port)


def stopping(declared: Declaration) -> list[Service]:
    """Services in stop order: the application first, then its dependencies."""
    services = list(declared.services.values())
    return [s for s in services if s.built] + [s for s in reversed(services) if not s.built]
