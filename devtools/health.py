"""What the running application says about itself at its health address."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import NoAnswer, Problem
from .ports import LOOPBACK

PATH = "/api/v1/health/"
# The entry that says whether the database is behind the code.
MIGRATIONS = "migrations"
# The one that says whether the database, or a process, is ahead of it.
UNKNOWN_MIGRATIONS = "unknown_migrations"
# What to try for an entry whose reason names no command itself.
_REMEDIES = {
    "database": "./dev restart db",
    "cache": "./dev restart redis",
    "broker": "./dev restart redis",
    "worker": "./dev logs worker   and then ./dev restart worker",
    "files": "./dev restart localstack",
    MIGRATIONS: "./dev migrate",
}
# As backend/core/health.py says it.
_LATE = "no answer within"


@dataclass(frozen=True)
class Health:
    """One answer of the health address."""

    status: str
    server: str
    checks: Mapping[str, Mapping[str, Any]]

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def failing(self) -> dict[str, str]:
        """The entries that are not ok, each with its reason."""
        return {
            name: str(entry.get("error") or entry.get("status"))
            for name, entry in self.checks.items()
            if entry.get("status") != "ok"
        }

    @property
    def problems(self) -> list[Problem]:
        """The entries that are not ok, each with its remedy."""
        return [
            Problem(f"{name}: {reason}", remedy(name, reason))
            for name, reason in self.failing.items()
        ]

    @property
    def late(self) -> dict[str, str]:
        """Those of `failing` that web asked and that did not answer in time."""
        return {name: why for name, why in self.failing.items() if why.startswith(_LATE)}

    def as_json(self) -> dict[str, Any]:
        return {"status": self.status, "checks": {k: dict(v) for k, v in self.checks.items()}}


def remedy(name: str, reason: str) -> str:
    """What to try for a failing entry; nothing if its reason says it."""
    return "" if "./dev " in reason else _REMEDIES.get(name, "./dev logs web")


def ask(port: int, timeout: float = 3) -> Health | None:
    """Ask the web server on `port` of this machine; None if no application answers in time."""
    try:
        return answer(port, timeout)
    except NoAnswer:
        return None


def answer(port: int, timeout: float) -> Health | None:
    """As `ask`; None only without an application. Raises NoAnswer if it takes too long.

    It says 503 when something is down, with the same body as when all is well.
    """
    # By hand, not urllib: a proxy in the environment must not stand between.
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request("GET", PATH, headers={"Host": f"localhost:{port}"})
        said = json.loads(connection.getresponse().read())
        return Health(said["status"], said.get("server", ""), said.get("checks", {}))
    except TimeoutError as error:
        raise NoAnswer(
            f"web did not answer within {timeout:.0f} s", "look again: ./dev status"
        ) from error
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
