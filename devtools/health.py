"""The health report of the running application."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import NoAnswer, Problem
from .ports import LOOPBACK

PATH = "/api/v1/health/"
# The entry for pending migrations.
MIGRATIONS = "migrations"
# The entry for migrations that the code does not know.
UNKNOWN_MIGRATIONS = "unknown_migrations"
# The entry for a process that is older than the migrations, and its code.
CODE = "code"
OF_MIGRATIONS = (MIGRATIONS, UNKNOWN_MIGRATIONS, CODE)
# A start of db also sets the configured passwords of its roles.
RESTART_DATABASE = "./dev restart db"
# Remedies for entries whose reason names no command.
_REMEDIES = {
    "database": RESTART_DATABASE,
    "cache": "./dev restart redis",
    "broker": "./dev restart redis",
    "worker": "./dev logs worker   and then ./dev restart worker",
    "beat": "./dev restart worker",
    "files": "./dev restart localstack",
    # A fault of the database; other reasons name a command.
    MIGRATIONS: RESTART_DATABASE,
    UNKNOWN_MIGRATIONS: RESTART_DATABASE,
    CODE: RESTART_DATABASE,
}
# In the messages of PostgreSQL and Redis about a wrong password.
_REFUSED = "authenticat"
# As in backend/core/health.py.
_LATE = "no answer within"


@dataclass(frozen=True)
class Health:
    """One health report."""

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
        """The entries that are not ok with their remedies; those with one reason in one problem."""
        names: dict[str, list[str]] = {}
        for name, reason in self.failing.items():
            names.setdefault(reason, []).append(name)
        return [
            Problem(
                f"{', '.join(entries)}: {reason}",
                "\n".join(dict.fromkeys(remedy(name, reason) for name in entries)),
            )
            for reason, entries in names.items()
        ]

    @property
    def outdated(self) -> bool:
        """Whether web is older than the migrations that a release has applied."""
        why = self.failing.get(CODE, "")
        return bool(why) and not remedy(CODE, why)

    @property
    def late(self) -> dict[str, str]:
        """The `failing` entries whose checks timed out."""
        return {name: why for name, why in self.failing.items() if why.startswith(_LATE)}

    @property
    def lasting(self) -> bool:
        """Whether an entry fails for a reason that waiting does not change: a refused password, or
        migrations that only the code has, or only the database."""
        return any(
            _REFUSED in why.lower() or (name in OF_MIGRATIONS and not remedy(name, why))
            for name, why in self.failing.items()
        )

    def as_json(self) -> dict[str, Any]:
        return {"status": self.status, "checks": {k: dict(v) for k, v in self.checks.items()}}


def remedy(name: str, reason: str) -> str:
    """The remedy for a failing entry; empty if its reason contains one."""
    return "" if "./dev " in reason else _REMEDIES.get(name, "./dev logs web")


def ask(port: int, timeout: float = 3) -> Health | None:
    """Ask the web server on `port` of this machine; None if no application answers in time."""
    try:
        return answer(port, timeout)
    except NoAnswer:
        return None


def answer(port: int, timeout: float) -> Health | None:
    """As `ask`; None only without an application. Raises NoAnswer on a timeout.

    The status is 503 if something is down, with a body of the same format.
    """
    # Not urllib, which would use a proxy of the environment.
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request("GET", PATH, headers={"Host": f"localhost:{port}"})
        said = json.loads(connection.getresponse().read())
        return Health(said["status"], said.get("server", ""), said.get("checks", {}))
    except TimeoutError as error:
        raise NoAnswer(
            f"web did not answer within {timeout:.0f} s", "try again: ./dev status"
        ) from error
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
