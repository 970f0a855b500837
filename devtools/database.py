"""Questions to the running database, as superuser, whatever runs it."""

from __future__ import annotations

from .engines.base import Engine
from .errors import DevError

# Every cluster has it, and nothing of the application's is in it.
MAINTENANCE = "postgres"

_PSQL = 'exec psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"'


def query(engine: Engine, *statements: str, database: str = "", timeout: float = 60) -> list[str]:
    """The lines that `statements` answer, in the application's database unless told another.

    All run in one session; each is a transaction of its own. Raises DevError with PostgreSQL's
    words at the first that fails.
    """
    arguments = [word for statement in statements for word in ("--command", statement)]
    if database:
        arguments = ["--dbname", database, *arguments]
    done = engine.in_database(_PSQL, *arguments, timeout=timeout)
    if not done.ok:
        raise DevError(f"the database refused: {done.last_words}", "./dev status   ./dev logs db")
    return done.output.splitlines()


def identifier(name: str) -> str:
    """`name` as SQL names a thing."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as SQL writes a string."""
    return "'" + text.replace("'", "''") + "'"
