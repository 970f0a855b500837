"""django-tenants' backend, which also takes the tenant's database role.

With the search path alone, one line of raw SQL naming another schema would read it. With the
role PostgreSQL itself refuses.
"""

import select
from collections.abc import Callable
from typing import Any

import structlog
from django.db import DataError
from django_tenants.postgresql_backend import base
from django_tenants.utils import get_public_schema_name, quote_schema_name
from psycopg import ClientCursor, OperationalError
from psycopg.errors import InFailedSqlTransaction
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from tenants.names import EXTENSIONS, role_of

# Seconds that a kept connection has to show that it is alive.
ALIVE_WITHIN = 2

# Search path and role in one statement, because each costs a round trip, and because both hold
# or neither does. The list of tenants is read with the log-in's own rights.
TAKE = "RESET ROLE; SELECT set_config('search_path', %s, false), set_config('role', %s, false)"
TAKE_TENANT = f"""{TAKE}, identity FROM public.tenant_config
WHERE schema_name = %s AND identity = coalesce(%s, identity)"""

# What DISCARD ALL does, which no transaction may hold. It goes ahead of TAKE in the same message,
# and costs no further round trip.
RESET_SESSION = """CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; DISCARD TEMP; DISCARD SEQUENCES;
RESET ALL; SELECT pg_advisory_unlock_all(), set_config('TimeZone', %s, false); """

log = structlog.get_logger(__name__)


class TenantGone(DataError):
    """The tenant was dropped; there may be another one of its name."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Sets search path and role together, whenever either is not known to be right."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._identity = ""
        self._session_is_used = True
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(self._execute_in_place)

    def is_usable(self) -> bool:
        """Tell whether the server still answers on this connection, within ALIVE_WITHIN seconds.

        Django's own waits as long as the connection exists: a server that hangs would hold up
        every request for ever. What a new request sends anyway is the question here, and saves a
        round trip; otherwise it is an empty query.
        """
        server = getattr(self.connection, "pgconn", None)
        if server is None:
            return False
        enters = self._resets() and self._is_idle()
        try:
            server.send_query(self._entry() if enters else b"")
            answer = select.poll()
            answer.register(server.socket, select.POLLIN)
            if not answer.poll(ALIVE_WITHIN * 1000):
                return False
            results = list(iter(server.get_result, None))
        except (OperationalError, OSError):
            return False
        if enters and results[-1].status == ExecStatus.TUPLES_OK and results[-1].ntuples:
            self._entered(results[-1])
        return server.status == ConnStatus.OK

    @property
    def tenant_identity(self) -> str:
        """What tells this tenant from every other, also from one that had its name before.

        Raises:
            TenantGone: when it is asked of the database, and the tenant is not there.
        """
        if self.schema_name == get_public_schema_name():
            return self.schema_name
        if known := getattr(self.tenant, "identity", None):
            return str(known)
        if not (self._identity and self.search_path_set_schemas):
            self.ensure_connection()
            self._handle_search_path()
        return self._identity

    def is_tenant_there(self) -> bool:
        """Take the tenant now, not with the first query; tell whether the database has it."""
        if self.schema_name == get_public_schema_name():
            return True
        self.close_if_health_check_failed()
        self.ensure_connection()
        try:
            self._handle_search_path()
        except TenantGone:
            return False
        return True

    def set_tenant(self, tenant: Any, include_public: bool = False) -> None:
        # A table that a tenant lacks must not be found in public.
        super().set_tenant(tenant, include_public=False)
        self._identity = ""

    def set_schema_to_public(self) -> None:
        """Leave the tenant; between transactions nothing of the session outlives this.

        A transaction that was begun by raw SQL ends with its connection.
        """
        super().set_schema_to_public()
        if self.connection is None or self.in_atomic_block or not self.autocommit:
            return
        self._session_is_used = True
        if not self.connection.closed and not self._is_idle():
            log.warning("connection closed: raw SQL left a transaction open")
            self.close()

    def close(self) -> None:
        self._session_is_used = True  # a pool may hand out this session again
        super().close()

    def set_autocommit(self, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        if not autocommit and self._session_is_used:
            # A reset inside a transaction would be undone by its rollback.
            self.close_if_health_check_failed()
            self.ensure_connection()
            self._handle_search_path()
        super().set_autocommit(autocommit, *args, **kwargs)

    def _execute_in_place(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement in the tenant, on a cursor that may be older than its entry."""
        if self.connection is None:
            return execute(sql, params, many, context)
        self._handle_search_path()
        was_idle = self._is_idle()
        try:
            return execute(sql, params, many, context)
        finally:
            # A raw BEGIN or ROLLBACK takes role and search path along.
            if self.connection is not None:
                is_idle = self._is_idle()
                if is_idle if not self.autocommit else not (was_idle and is_idle):
                    self.search_path_set_schemas = None

    def _get_cursor_search_paths(self) -> Any:
        # The library's setting for this asks the database at each start of a process.
        return [*super()._get_cursor_search_paths(), EXTENSIONS]

    def _is_idle(self) -> bool:
        return self.connection.pgconn.transaction_status == TransactionStatus.IDLE

    def _handle_search_path(self, cursor: Any = None) -> None:
        # Private to the library, hence its pin; the isolation tests notice a change. The
        # library forgets `search_path_set_schemas` whenever the server may have.
        if self.search_path_set_schemas and not self._resets():
            return
        with self.wrap_database_errors, ClientCursor(self.connection) as own:
            try:
                own.execute(self._entry())
            except InFailedSqlTransaction:
                return  # nothing but a rollback is possible now, and after it we are back here
            while own.nextset():
                pass
            if own.pgresult is None or not own.pgresult.ntuples:
                name = repr(self.schema_name)
                raise TenantGone(f"there is no tenant {name}, or it is another one now")
            self._entered(own.pgresult)

    def _resets(self) -> bool:
        """Whether the session's state ends with the next entry; no transaction may hold that."""
        return self._session_is_used and self.autocommit and not self.in_atomic_block

    def _entry(self) -> bytes:
        """Return the message that takes search path and role; its last result is `_entered`'s."""
        is_tenant = self.schema_name != get_public_schema_name()
        statement = TAKE_TENANT if is_tenant else TAKE
        paths = ", ".join(map(quote_schema_name, self._get_cursor_search_paths()))
        values: list[Any] = [paths, self._role()]
        if is_tenant:
            values += [self.schema_name, getattr(self.tenant, "identity", None)]
        if self._resets():
            statement, values = RESET_SESSION + statement, [self.timezone_name, *values]
        return ClientCursor(self.connection).mogrify(statement, values).encode()

    def _entered(self, result: PGresult) -> None:
        """Remember what the session has taken: path, role and, of a tenant, its identity."""
        identity = result.get_value(0, 2) if result.nfields > 2 else None
        self._identity = identity.decode() if identity else ""
        self._session_is_used = self._session_is_used and not self._resets()
        self.search_path_set_schemas = self._get_cursor_search_paths()

    def session_options(self) -> str:
        """Return options of libpq with which a connection begins where this one is."""
        return f"-c search_path={self.schema_name},{EXTENSIONS} -c role={self._role()}"

    def _role(self) -> str:
        if self.schema_name != get_public_schema_name():
            return role_of(self.schema_name)
        return getattr(self.tenant, "role", "none")
