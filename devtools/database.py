"""Queries to the running database as superuser, on any engine."""

from __future__ import annotations

from .engines.base import Engine
from .errors import DevError
from .health import RESTART_DATABASE

# Every cluster has this database, and the application does not use it.
MAINTENANCE = "postgres"

_PSQL = 'exec psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"'


def query(
    engine: Engine, *statements: str, script: str = "", database: str = "", timeout: float = 60
) -> list[str]:
    """The output lines of `statements`, or of a `script`, in the application's database by default.

    All run in one session, each in a separate transaction. Raises DevError with PostgreSQL's
    message at the first that fails.
    """
    arguments = [f"--dbname={database}"] if database else []
    arguments += [f"--command={statement}" for statement in statements]
    done = engine.in_database(_PSQL, *arguments, timeout=timeout, given=script)
    if not done.ok:
        remedy = "./dev status   ./dev logs db"
        if "password authentication failed" in done.last_words:
            remedy = RESTART_DATABASE
        raise DevError(f"the query failed: {done.last_words}", remedy)
    return done.output.splitlines()


def identifier(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
