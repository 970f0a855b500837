"""Bringing programs up under the supervisor, each when what it needs is well, and down again."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Callable

from .. import debuggers, environment, ports, readiness
from ..checkout import Checkout
from ..errors import DevError, Problem
from ..readiness import Verdict
from ..services import WEB, WORKER
from ..terminal import Mark, Terminal
from ..workspace.protocol import Control
from . import port_choice
from .declaration import Declaration, Service
from .places import Places
from .postgres import STOP_SIGNAL
from .stack import Program, Stack
from .supervisor import State, Supervisor

# The ports of what was started last, by service.
SUBJECT = "embedded"


class Runner:
    """What runs of this checkout, and how that is changed."""

    def __init__(self, checkout: Checkout, terminal: Terminal, places: Places) -> None:
        self.checkout = checkout
        self.terminal = terminal
        self.places = places
        self.supervisor = Supervisor(places, environment.python(checkout))

    # What there is

    @property
    def states(self) -> dict[str, State]:
        """Every process that the supervisor knows, by service; none without a supervisor."""
        return self.supervisor.states() if self.supervisor.answers else {}

    @property
    def ports_in_use(self) -> dict[str, int]:
        """The ports of the services that run, by service."""
        recorded = self._recorded_ports
        return {
            name: recorded[name]
            for name, state in self.states.items()
            if state.at_work and name in recorded
        }

    @property
    def _recorded_ports(self) -> dict[str, int]:
        try:
            beside = json.loads(self.places.ports.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            beside = {}
        return self.checkout.recall(SUBJECT) or beside

    @property
    def leftover(self) -> Problem | None:
        """What is wrong with processes that the next start has to end; None if there are none."""
        if self.supervisor.answers:
            if not self._deleted:
                return None
            return Problem(
                f"deleted while the stack was up: {', '.join(self._deleted)}",
                "./dev up   ends what still runs and starts anew on the same ports",
            )
        if not self.left_alone_since:
            return None
        moved_from = self.checkout.identity.moved_from
        return Problem(
            f"the stack was up while this folder was moved from {moved_from}"
            if moved_from
            else "the supervisor was killed: what it had started runs on, or its remains are here",
            "./dev up   ends what still runs and starts anew; ./dev down only ends it",
        )

    @property
    def _deleted(self) -> list[str]:
        """What a running stack needs of the checkout and is gone."""
        needed = (self.supervisor.configuration, environment.python(self.checkout))
        root = self.checkout.root
        return [path.relative_to(root).parts[0] for path in needed if not path.exists()]

    @property
    def left_alone_since(self) -> float:
        """When the supervisor was started that is gone without having stopped; 0 if none is."""
        if self.supervisor.answers:
            return 0
        sockets = (supervisor.socket for supervisor in self._supervisors)
        return next((found.stat().st_ctime for found in sockets if found.exists()), 0)

    @property
    def _supervisors(self) -> list[Supervisor]:
        """Those that may have processes of this checkout: the one where it was moved from, too."""
        moved_from = self.checkout.identity.moved_from
        if moved_from is None:
            return [self.supervisor]
        before = Places(Checkout(moved_from, self.checkout.variables))
        return [self.supervisor, Supervisor(before, environment.python(self.checkout))]

    def all_well(self, stack: Stack, programs: Mapping[str, Program]) -> bool:
        """Whether exactly `programs` run, as they are now and well."""
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

    # Up

    def supervise(self, stack: Stack, programs: Mapping[str, Program]) -> None:
        """See to a supervisor that knows `programs` and no others."""
        listed = list(programs.values())
        if self.supervisor.answers and self.supervisor.configured_otherwise(listed):
            self.stop_all(stack.declaration)
        self.checkout.remember(SUBJECT, dict(stack.ports))
        self.places.make_sockets()
        self.places.write(self.places.ports, json.dumps(dict(stack.ports)))
        if not self.supervisor.answers:
            self.supervisor.configure(listed)
            self.supervisor.launch(stack.kept())

    def start(
        self,
        stack: Stack,
        programs: Mapping[str, Program],
        timeout: float,
        *,
        anew: bool = True,
        arrived: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start what of `programs` does not run as it should and follow all until they are well.

        Without `anew` each is started as it was the last time. `arrived` as `readiness.follow`.
        """
        going = self._as_they_should(stack, programs, anew)
        for name, program in programs.items():
            if name not in going:
                self._prepare(program, anew)
        well: dict[str, tuple[int, Verdict]] = {}

        def look() -> dict[str, Verdict]:
            for name, program in programs.items():
                needed = [other for other in program.service.needs if other in programs]
                if name not in going and all(other in well for other in needed):
                    self.supervisor.start(name)
                    going.add(name)
            states = self.states
            verdicts = {}
            for name, program in programs.items():
                state = states[name]
                if name not in going:
                    verdicts[name] = Verdict(Mark.WAITING, "waiting")
                elif name in well and well[name][0] == state.pid:
                    verdicts[name] = well[name][1]  # asking it again costs time
                else:
                    verdicts[name] = verdict(stack, program, state)
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

    def _as_they_should(
        self, stack: Stack, programs: Mapping[str, Program], anew: bool
    ) -> set[str]:
        """The names of what can stay; what runs otherwise than it should is stopped."""
        states = self.states
        at_work = [name for name in programs if states[name].at_work]
        wrong = [
            name
            for name in at_work
            if not states[name].running
            or (anew and self._differs(programs[name]))
            or verdict(stack, programs[name], states[name]).mark is Mark.BAD
        ]
        if wrong:
            self.stop(stack.declaration, wrong)
        return set(at_work) - set(wrong)

    def keep(self, program: Program) -> None:
        """Have the next start of `program` be as it is now."""
        self.places.write(self.places.script(program.service.name), program.script, mode=0o700)

    def _prepare(self, program: Program, anew: bool) -> None:
        step = self.terminal.step(program.preparation) if program.preparation else None
        with step or contextlib.nullcontext():
            program.prepare()
        if anew or not self.places.script(program.service.name).exists():
            self.keep(program)

    @property
    def debug_ports(self) -> dict[str, int]:
        """Where the debuggers of services are that run under one, by service."""
        served = Control(self.places.web_socket).look()
        found = {WEB: served.debug_port if served else None}
        worker = self._started_with(WORKER, debuggers.PORT_VARIABLE)
        found[WORKER] = int(worker) if ports.valid(worker) else None
        states = self.states
        return {n: port for n, port in found.items() if port and n in states and states[n].at_work}

    def _started_with(self, name: str, variable: str) -> str:
        """What `variable` was when the service `name` was last started; empty if it was unset."""
        try:
            script = self.places.script(name).read_text()
        except OSError:
            return ""
        found = re.search(rf"^export {variable}=(.*)$", script, re.MULTILINE)
        return "".join(shlex.split(found[1])) if found else ""

    def _differs(self, program: Program) -> bool:
        """Whether it was last started in another way."""
        try:
            return self.places.script(program.service.name).read_text() != program.script
        except OSError:
            return True

    def _failure(self, stack: Stack, name: str, state: str) -> DevError:
        found = self.states.get(name)
        for port in stack.declaration.services[name].ports:
            number = stack.ports[name]
            if not ports.is_free(number) and not (found and ports.held_by(found.pid, number)):
                return port_choice.lost(port, number)
        try:
            log = self.places.log(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            log = ""
        return readiness.failure(self.terminal, name, state, log)

    # Down

    def stop(self, declared: Declaration, names: Iterable[str]) -> None:
        """Stop `names`, one after the other, each as long as it may take."""
        names = list(names)
        # Of a service that is declared no more only the name is known.
        grace = {name: 10.0 for name in names if name not in declared.services}
        for service in stopping(declared):
            if service.name in names:
                grace[service.name] = service.stop_grace_period
        with self.terminal.step("stopping " + (", ".join(grace) or "the supervisor")):
            self.supervisor.stop(grace)

    def stop_all(self, declared: Declaration) -> None:
        """Stop everything, and the supervisor."""
        self.stop(declared, [name for name, state in self.states.items() if state.at_work])
        self.supervisor.shut_down()
        self._forget()

    def end_leftover(self, declared: Declaration, leftover: Problem | None) -> list[str]:
        """End what `leftover` is about, and say so; return the services' names."""
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
        """End what runs without its supervisor."""
        signals = [
            (service.name, STOP_SIGNAL.get(service.name, "TERM")) for service in stopping(declared)
        ]
        found = [name for one in self._supervisors for name in one.end_orphans(signals)]
        if found:
            self.terminal.mark(Mark.WARNING, f"ended: {', '.join(found)}")
        self._forget()
        return found

    def _forget(self) -> None:
        self.checkout.forget(SUBJECT)
        for supervisor in self._supervisors:
            shutil.rmtree(supervisor.socket.parent, ignore_errors=True)


def verdict(stack: Stack, program: Program, state: State) -> Verdict:
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
    fault = program.fault()
    if fault:
        return Verdict(Mark.BAD, fault)
    if listens(stack, state) and program.ready(state.since):
        return Verdict(Mark.GOOD, "healthy")
    if time.time() - state.since > service.start_period:
        return Verdict(Mark.BAD, "unhealthy")
    return Verdict(Mark.BUSY, "starting")


def listens(stack: Stack, state: State) -> bool:
    """Whether a service listens on its port, if it has one: another program may answer there."""
    port = stack.ports.get(state.name)
    return not port or ports.held_by(state.pid, port)


def stopping(declared: Declaration) -> list[Service]:
    """Services in the order in which they stop: the application first, then what it uses."""
    services = list(declared.services.values())
    return [s for s in services if s.built] + [s for s in reversed(services) if not s.built]
