"""How long the sessions of this process may hold up others: each kind of process has its own.

The limits are options of the connection, so that `RESET ALL` and `DISCARD ALL` return to them.
https://www.postgresql.org/docs/18/runtime-config-client.html#GUC-STATEMENT-TIMEOUT
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connections

PARAMETERS = {
    "lock": "lock_timeout",
    "statement": "statement_timeout",
    "idle": "idle_in_transaction_session_timeout",
}


def connection_options(limits: Mapping[str, int]) -> str:
    """Return libpq's `options` for these limits in seconds."""
    return " ".join(f"-c {PARAMETERS[name]}={limit}s" for name, limit in limits.items())


def limit_sessions(limits: Mapping[str, int]) -> None:
    """Give these limits to the connections that this process makes from now on."""
    # The same object in every thread, and in every process that is forked.
    connections.settings["default"]["OPTIONS"]["options"] = connection_options(limits)


def share_connections(most: int) -> None:
    """Let the threads of this process take `most` connections in turns.

    CONN_MAX_AGE is then the life of a connection that they share: tenants/postgresql/shared.py.
    """
    database = connections.settings["default"]
    database.update(SHARED=most, SHARED_MAX_AGE=database["CONN_MAX_AGE"], CONN_MAX_AGE=0)
