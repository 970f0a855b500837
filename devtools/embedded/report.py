"""The status of the embedded stack, with addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from .. import addresses, debuggers, health, ports
from ..declared.local_stack import Declaration
from ..services import RELEASE, WEB
from ..status import ServiceStatus, StackStatus
from ..supervision.client import State
from ..terminal import Mark
from .runner import Runner, listens, verdict
from .stack import Program, Stack


def status(
    stack: Stack, programs: Mapping[str, Program], runner: Runner, engine: str, names: Sequence[str]
) -> StackStatus:
    """The current status of the whole stack; `names` are those of the tenants."""
    states = runner.states
    services = [
        _service_status(stack, program, states.get(name)) for name, program in programs.items()
    ]
    reached = {service.name for service in services if service.address}
    served = runner.served
    return StackStatus(
        engine=engine,
        project=stack.checkout.root.name,
        services=services,
        health=health.ask(stack.ports[WEB]) if WEB in reached else None,
        addresses=_addresses(stack, reached),
        tenants=_tenants(stack, reached, names),
        reload=served.reload if served else None,
        debuggers={name: debuggers.look(port) for name, port in runner.debug_ports.items()},
    )


def left_over(declared: Declaration, runner: Runner, engine: str) -> StackStatus:
    """The orphaned processes, which the next start stops, as far as they are known."""
    states = runner.states
    services = []
    for name in dict.fromkeys([*declared.services, *states]):
        state = states.get(name)
        since = state.since if state else runner.left_alone_since
        word = state.word.lower() if state else "no supervisor"
        services.append(ServiceStatus.since_epoch(name, word, False, since))
    return StackStatus(engine, runner.checkout.root.name, services, health=None)


def _service_status(stack: Stack, program: Program, state: State | None) -> ServiceStatus:
    name = program.service.name
    if state is None or not state.since:
        return ServiceStatus.since_epoch(name, "not up", False, 0)
    found = verdict(stack, program, state)
    healthy = found.mark is Mark.GOOD
    port = stack.ports.get(name)
    reached = port and state.running and (healthy or listens(stack, state))
    address = f"{ports.LOOPBACK}:{port}" if reached else None
    return ServiceStatus.since_epoch(
        name, found.state, healthy, state.since, address, running=state.running
    )


def _addresses(stack: Stack, reached: set[str]) -> dict[str, str]:
    if not reached:
        return {}
    # As the release's role: the superuser cannot log in by TCP.
    release = stack.settings(stack.declaration.services[RELEASE])
    database = urlsplit(release["DATABASE_URL"])
    there = {name: port for name, port in stack.ports.items() if name in reached}
    return addresses.of_services(
        stack.host, there, database.username or "", database.path.strip("/")
    )


def _tenants(stack: Stack, reached: set[str], names: Sequence[str]) -> dict[str, str]:
    if WEB not in reached:
        return {}
    settings = stack.settings(stack.declaration.services[WEB])
    return addresses.tenants(names, stack.host, stack.ports[WEB], settings)
