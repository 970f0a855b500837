"""The status of the stack, in the same form for all engines."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from .debuggers import Debugger
from .errors import Problem
from .health import Health


@dataclass(frozen=True)
class ServiceStatus:
    """The state of a service. `since` is its last start, UTC in ISO 8601; None if it had none.

    `replicas` counts the healthy and all containers of a scaled service; the other fields then
    describe the worst of them.
    """

    name: str
    state: str
    healthy: bool
    since: str | None
    uptime_seconds: int | None
    address: str | None
    replicas: tuple[int, int] | None = None

    @classmethod
    def since_epoch(
        cls, name: str, state: str, healthy: bool, since: float, address: str | None = None,
        *, running: bool = False, replicas: tuple[int, int] | None = None,
    ) -> ServiceStatus:  # fmt: skip
        """The state with its last start in seconds since the epoch, 0 for none."""
        started = datetime.fromtimestamp(int(since), timezone.utc).isoformat() if since else None
        uptime = max(0, int(time.time() - since)) if since and running else None
        return cls(name, state, healthy, started, uptime, address, replicas)

    @property
    def words(self) -> str:
        """Its state, with the number of healthy replicas."""
        if not self.replicas:
            return self.state
        return "{}, {}/{} healthy".format(self.state, *self.replicas)


@dataclass(frozen=True)
class StackStatus:
    """The state of the stack: `addresses` by service or page, `tenants` by tenant, `debuggers` by
    service. `reload` tells whether an edit restarts the web server; None if unknown."""

    engine: str
    project: str
    services: Sequence[ServiceStatus]
    health: Health | None
    addresses: Mapping[str, str] = field(default_factory=dict)
    tenants: Mapping[str, str] = field(default_factory=dict)
    reload: bool | None = None
    debuggers: Mapping[str, Debugger] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        """Whether every service is healthy."""
        return all(service.healthy for service in self.services)

    @property
    def down(self) -> bool:
        """Whether nothing runs or should run."""
        return all(service.since is None for service in self.services)

    @property
    def failing(self) -> dict[str, str]:
        """The problems, by the name of the service or of the health entry."""
        unhealthy = {s.name: s.words for s in self.services if not s.healthy}
        return {**unhealthy, **(self.health.failing if self.health else {})}

    @property
    def problems(self) -> list[Problem]:
        """All problems of a running stack, each with its remedy."""
        unhealthy = [
            Problem(f"{one.name}: {one.words}", f"./dev logs {one.name}")
            for one in self.services
            if not one.healthy and not (self.health and one.name in self.health.failing)
        ]
        if self.health is None:
            return [
                *unhealthy,
                Problem("web does not answer at its health address", "./dev logs web"),
            ]
        return [*unhealthy, *self.health.problems]

    def as_json(self) -> dict[str, Any]:
        """The format of `./dev status --json`; keys are only ever added."""
        return {
            "engine": self.engine,
            "project": self.project,
            "state": "down" if self.down else "failing" if self.failing else "up",
            "server": self.health.server if self.health else None,
            "services": [asdict(service) for service in self.services],
            "health": self.health.as_json() if self.health else None,
            "addresses": dict(self.addresses),
            "tenants": dict(self.tenants),
            "reload": self.reload,
            "debuggers": {name: asdict(one) for name, one in self.debuggers.items()},
        }
