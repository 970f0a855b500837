"""psycopg's cursors, whose statements run in the tenant of the Django connection they belong to.

A connection has its `tenancy` while Django uses it. One without it, such as one that a pool keeps,
sends statements as they are: the log-in has no rights in a tenant.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql import base
from psycopg.errors import ActiveSqlTransaction, InvalidTransactionTermination

# What PostgreSQL says of a statement that no transaction may hold, e.g. CREATE INDEX CONCURRENTLY
# or a procedure that commits. Nothing of it was done then.
NEEDS_NO_TRANSACTION = (ActiveSqlTransaction, InvalidTransactionTermination)


def _in_transaction(connection: Any) -> AbstractContextManager[None]:
    tenancy = getattr(connection, "tenancy", None)
    return tenancy.in_transaction() if tenancy else nullcontext()


if TYPE_CHECKING:  # the stubs of Django do not say what its cursors are made of
    from psycopg import ClientCursor, ServerCursor
else:
    ClientCursor, ServerCursor = base.Cursor, base.ServerSideCursor


class Cursor(ClientCursor):
    """Begins each message with what puts its statement into the tenant."""

    ahead = ""  # of the statement, in the last message

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        tenancy = getattr(self.connection, "tenancy", None)
        if tenancy is None:
            return super().execute(query, params, **options)
        ahead = tenancy.ahead_of(query)
        self.ahead = "; ".join(ahead) + ";\n" if ahead else ""
        try:
            self._execute_after(len(ahead), query, params, options)
        except NEEDS_NO_TRANSACTION:
            if not tenancy.autocommit or self.connection.info.transaction_status:
                raise
            self.ahead = ""
            with tenancy.in_session():
                super().execute(query, params, **options)
        tenancy.executed(self.statusmessage)
        return self

    def _execute_after(self, ahead: int, query: Any, params: Any, options: Any) -> None:
        if not ahead:
            super().execute(query, params, **options)
            return
        if isinstance(query, str):
            # Parsed once with its parameters, which takes half the time.
            before = self.ahead.replace("%", "%%") if params is not None else self.ahead
            super().execute(before + query, params, **options)
        else:
            super().execute(self.ahead + self.mogrify(query, params), **options)
        with suppress(IndexError):  # of an empty statement
            self.set_result(ahead)

    def executemany(self, *args: Any, **options: Any) -> None:
        with _in_transaction(self.connection):
            super().executemany(*args, **options)

    @contextmanager
    def copy(self, *args: Any, **options: Any) -> Iterator[Any]:
        with _in_transaction(self.connection), super().copy(*args, **options) as copy:
            yield copy

    def stream(self, *args: Any, **options: Any) -> Iterator[Any]:
        with _in_transaction(self.connection):
            yield from super().stream(*args, **options)


class ServerSideCursor(ServerCursor):
    """Declares itself in the tenant; outside a transaction it is held, and read in none."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        with _in_transaction(self.connection):
            return super().execute(query, params, **options)
