"""What every engine can do: the one interface between the commands and what runs the stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..health import Health


@dataclass(frozen=True)
class ServiceStatus:
    """One service now. `since` is when it last started, UTC in ISO 8601; None if it never did."""

    name: str
    state: str
    well: bool
    since: str | None
    uptime_seconds: int | None
    address: str | None


@dataclass(frozen=True)
class StackStatus:
    """The whole stack now: `addresses` by service or page, `tenants` by tenant."""

    engine: str
    project: str
    services: Sequence[ServiceStatus]
    health: Health | None
    addresses: Mapping[str, str] = field(default_factory=dict)
    tenants: Mapping[str, str] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        """Whether every service is well."""
        return all(service.well for service in self.services)

    @property
    def down(self) -> bool:
        """Whether nothing of it runs or should run."""
        return all(service.since is None for service in self.services)

    @property
    def failing(self) -> dict[str, str]:
        """What is wrong, by the name of the service or of the health entry."""
        unwell = {s.name: s.state for s in self.services if not s.well}
        return {**unwell, **(self.health.failing if self.health else {})}

    def as_json(self) -> dict[str, Any]:
        """The shape of `./dev status --json`; keys are only ever added."""
        return {
            "engine": self.engine,
            "project": self.project,
            "state": "down" if self.down else "failing" if self.failing else "up",
            "server": self.health.server if self.health else None,
            "services": [
                {
                    "name": service.name,
                    "state": service.state,
                    "well": service.well,
                    "since": service.since,
                    "uptime_seconds": service.uptime_seconds,
                    "address": service.address,
                }
                for service in self.services
            ],
            "health": self.health.as_json() if self.health else None,
            "addresses": dict(self.addresses),
            "tenants": dict(self.tenants),
        }


class Engine(ABC):
    """Runs the stack. Every method raises DevError where it cannot do its work;
    those that hand the terminal to a program return its exit status."""

    name: str

    # The stack

    @abstractmethod
    def up(self, *, auto_ports: bool, build: bool, timeout: float) -> bool:
        """Bring every service up and wait, at most `timeout` seconds, until all are healthy.

        Returns whether there was anything to do.
        """

    @abstractmethod
    def down(self, *, volumes: bool) -> None:
        """Stop and remove what runs; the data too with `volumes`."""

    @abstractmethod
    def status(self) -> StackStatus:
        """What runs now."""

    @abstractmethod
    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        """Print the logs of `services`, or of all."""

    @abstractmethod
    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        """Restart `services`, or all that stay, and wait until they are healthy."""

    @abstractmethod
    def serve(self, server: str, *, timeout: float) -> bool:
        """Put `server` in place of the web server that runs; touch nothing else.

        Returns whether there was anything to do.
        """

    @abstractmethod
    def remains(self) -> list[str]:
        """What `clean` deletes, one line each."""

    @abstractmethod
    def data(self) -> list[str]:
        """What of `remains` holds data that cannot be made again, by name."""

    @abstractmethod
    def clean(self) -> None:
        """Delete all of `remains`."""

    # Commands inside it

    @abstractmethod
    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        """Run manage.py as the database's owner; with `writes_code` its files are the caller's."""

    @abstractmethod
    def release(self) -> int:
        """Run the release that a start-up runs: migrations and missing tenants."""

    @abstractmethod
    def shell(self, arguments: Sequence[str]) -> int:
        """Open Django's shell where web runs, with web's rights."""

    @abstractmethod
    def psql(self, arguments: Sequence[str]) -> int:
        """Open psql on the application's database, as superuser."""

    @abstractmethod
    def test(self, arguments: Sequence[str], *, auto_ports: bool, build: bool) -> int:
        """Run the backend's tests."""
