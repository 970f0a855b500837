"""The status of the embedded stack, with addresses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import urlsplit

from .. import addresses, debuggers, health, ports
from ..declared.local_stack import Declaration
from ..process import capture
from ..services import AWS, CACHE, DATABASE, RELEASE, WEB
from ..status import ServiceStatus, StackStatus
from ..supervision.client import State
from ..terminal import Mark
from .postgres import Postgres
from .runner import Runner, listens, verdict
from .stack import Program, Stack


def status(
    stack: Stack, programs: Mapping[str, Program], runner: Runner, engine: str
) -> StackStatus:
    """The current status of the whole stack."""
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
        tenants=_tenants(stack, reached),
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
        services.append(
            ServiceStatus(
                name=name,
                state=state.word.lower() if state else "no supervisor",
                healthy=False,
                since=_moment(since) if since else None,
                uptime_seconds=None,
                address=None,
            )
        )
    return StackStatus(engine, runner.checkout.root.name, services, health=None)


def _service_status(stack: Stack, program: Program, state: State | None) -> ServiceStatus:
    name = program.service.name
    if state is None or not state.since:
        return ServiceStatus(name, "not up", False, None, None, None)
    found = verdict(stack, program, state)
    healthy = found.mark is Mark.GOOD
    port = stack.ports.get(name)
    reached = port and state.running and (healthy or listens(stack, state))
    return ServiceStatus(
        name=name,
        state=found.state,
        healthy=healthy,
        since=_moment(state.since),
        uptime_seconds=max(0, int(time.time() - state.since)) if state.running else None,
        address=f"{ports.LOOPBACK}:{port}" if reached else None,
    )


def _addresses(stack: Stack, reached: set[str]) -> dict[str, str]:
    found = {}
    if WEB in reached:
        found.update(addresses.pages(stack.host, stack.ports[WEB]))
    if DATABASE in reached:
        postgres = Postgres(stack)
        port = stack.ports[DATABASE]
        # As the release's role: the superuser cannot log in by TCP.
        release = stack.settings(stack.declaration.services[RELEASE])
        owner = urlsplit(release["DATABASE_URL"]).username or ""
        found[DATABASE] = addresses.database(owner, port, postgres.database)
    if CACHE in reached:
        found[CACHE] = addresses.cache(stack.ports[CACHE])
    if AWS in reached:
        found[AWS] = addresses.aws(stack.ports[AWS])
    return found


def _tenants(stack: Stack, reached: set[str]) -> dict[str, str]:
    """The address of each tenant in the database; none if it does not answer."""
    if not {WEB, DATABASE} <= reached:
        return {}
    postgres = Postgres(stack)
    found = capture(
        postgres.psql("-Atc", addresses.TENANTS_QUERY),
        directory=stack.checkout.root,
        environment=postgres.psql_environment,
    )
    names = found.output.split() if found.ok else ()
    settings = stack.settings(stack.declaration.services[WEB])
    return addresses.tenants(names, stack.host, stack.ports[WEB], settings)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat()
