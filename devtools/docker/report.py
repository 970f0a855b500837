"""The status of the Compose project, with addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from .. import addresses, debuggers, health
from ..debuggers import Debugger
from ..ports import LOOPBACK
from ..services import DATABASE, WEB
from ..status import ServiceStatus, StackStatus
from .project import Container, Project, PublishedPort, Service, one_each

# The container's environment has the names, so they are not repeated here.
SUPERUSER = 'export PGUSER="$POSTGRES_USER" PGDATABASE="$POSTGRES_DB"; '


def status(project: Project, engine: str, names: Sequence[str]) -> StackStatus:
    """The current status of the whole stack; `names` are those of the tenants."""
    replicas = project.replicas()
    containers = one_each(replicas)
    ports = {name: port(project, containers, name) for name in containers}
    return StackStatus(
        engine=engine,
        project=project.name,
        services=[
            _service_status(project, service, replicas.get(name, ()))
            for name, service in project.services.items()
        ],
        health=ask_health(project, containers),
        addresses=_addresses(project, ports),
        tenants=_tenants(project, ports.get(WEB, 0), names),
        reload=containers[WEB].reload if runs(containers, WEB) else None,
        debuggers={
            name: _debugger(project, container)
            for name, container in containers.items()
            if container.running and container.debug_port
        },
    )


def ask_health(project: Project, containers: Mapping[str, Container]) -> health.Health | None:
    """Web's health report; None if web does not answer."""
    number = port(project, containers, WEB)
    return health.ask(number) if number else None


def _debugger(project: Project, container: Container) -> Debugger:
    """Looked up inside the container, because its ports belong to its network."""
    tables = project.docker("exec", container.id, "cat", "/proc/net/tcp", "/proc/net/tcp6")
    number = container.debug_port
    published = container.published.get(number)
    host, shown = (LOOPBACK, published.port) if published else (container.service, number)
    return debuggers.look(number, f"{host}:{shown}", tables.output)


def runs(containers: Mapping[str, Container], service: str) -> bool:
    """Whether `service` has a running container."""
    return service in containers and containers[service].running


def port(project: Project, containers: Mapping[str, Container], service: str) -> int:
    """The first port of `service` on this machine; 0 if it has none."""
    published = _published(project, containers.get(service))
    return published.port if published else 0


def _published(project: Project, container: Container | None) -> PublishedPort | None:
    """The first published port of a container, except its debugger's.

    The declaration may have changed since, to a port on which another checkout may answer.
    """
    if container is None:
        return None
    debugger = debuggers.PORTS.get(container.service, ("", 0))[1]
    targets = [one.target for one in project.published([container.service])]
    there = [container.published.get(target) for target in targets if target != debugger]
    return next(filter(None, there), None)


def _service_status(
    project: Project, service: Service, replicas: Sequence[Container]
) -> ServiceStatus:
    # A problem of any replica counts for the service.
    container = min(replicas, key=service.reached_by, default=None)
    published = _published(project, container)
    count = len(replicas)
    return ServiceStatus.since_epoch(
        service.name,
        _state(service, container),
        service.fulfilled_by(replicas),
        _moment(container.started_at) if container else 0,
        f"{published.host}:{published.port}" if published else None,
        running=container is not None and container.running,
        replicas=(sum(map(service.reached_by, replicas)), count) if count > 1 else None,
    )


def _state(service: Service, container: Container | None) -> str:
    if container is None:
        return "not up"
    if container.running:
        return container.health or "running"
    if container.state == "created":
        return "not started"
    if container.state != "exited":
        return container.state
    if service.reached_by(container):
        return "completed"
    return f"stopped (exit status {container.exit_status})"


def _addresses(project: Project, ports: Mapping[str, int]) -> dict[str, str]:
    settings = project.services[DATABASE].declaration.get("environment") or {}
    user, name = settings.get("POSTGRES_USER", ""), settings.get("POSTGRES_DB", "")
    return addresses.of_services(_host(project), ports, user, name)


def _tenants(project: Project, port: int, names: Sequence[str]) -> dict[str, str]:
    if not port:
        return {}
    declared = project.services[WEB].declaration.get("environment") or {}
    return addresses.tenants(names, _host(project), port, declared)


def _host(project: Project) -> str:
    return addresses.host(project.checkout.root, project.name)


def _moment(timestamp: str) -> float:
    """The daemon's time stamp, since the epoch; 0 for a container that never started (year 1)."""
    moment = datetime.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return moment.timestamp() if moment.year > 1 else 0
