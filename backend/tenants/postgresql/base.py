"""django-tenants' backend, which also takes the tenant's database role.

With the search path alone, one line of raw SQL naming another schema would read it. With the
role PostgreSQL itself refuses.

Path and role are set inside each transaction that uses them, so that nothing of a tenant outlives
it, and in the same message as its first statement, so that they cost no round trip. Outside a
transaction, a message of several statements is one: each statement has its own then.
https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
"""

import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import structlog
from django.db import DataError, NotSupportedError
from django.db.backends.postgresql.operations import DatabaseOperations
from django.db.backends.postgresql.psycopg_any import register_tzloader
from django_tenants.postgresql_backend import base
from django_tenants.utils import get_public_schema_name, quote_schema_name
from psycopg import ClientCursor, OperationalError
from psycopg.pq import ConnStatus, ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.sql import Literal

from tenants.names import EXTENSIONS, role_of
from tenants.postgresql import shared
from tenants.postgresql.cursors import Cursor, ServerSideCursor
from tenants.postgresql.introspection import Introspection

# Seconds that a kept connection has to show that it is alive.
ALIVE_WITHIN = 2

# Tenants after which a connection ends with its request or task. It keeps what it knows of each
# table, some 0.6 MB of a tenant; a new one costs about 10 ms.
MOST_TENANTS = 50

# What DISCARD ALL does, which no transaction may hold.
RESET_SESSION = (
    "CLOSE ALL",
    "UNLISTEN *",
    "DEALLOCATE ALL",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "RESET ALL",
    "SELECT pg_advisory_unlock_all(), set_config('TimeZone', {time_zone}, false)",
)

# Is the tenant there? The list of tenants is read with the log-in's own rights. The role's oid
# tells it from the next role of its name, and the process from that of a connection pool.
ENTER = "SELECT pg_backend_pid(), to_regrole({role})::oid"
ENTER_TENANT = f"""{ENTER}, identity FROM public.tenant_config
WHERE schema_name = {{name}} AND identity = coalesce({{identity}}, identity)"""

# PostgreSQL refuses it after a query, also after the one that sets path and role.
SET_TRANSACTION = re.compile(r"\s*SET\s+TRANSACTION\b", re.IGNORECASE)
# What has no effect beyond its transaction through a pool: the tags of these commands.
OF_THE_SESSION = {"SET", "RESET", "PREPARE", "DECLARE CURSOR"}

# Of a context, not of a connection: what one asks for in other threads (asyncio.to_thread,
# sync_to_async) is in its tenant, and so is what runs beside others in one thread, as async views.
# A thread that starts without a context is in no tenant.
PUBLIC = base.FakeTenant(get_public_schema_name())
current_tenant: ContextVar[Any] = ContextVar("tenant", default=PUBLIC)

log = structlog.get_logger(__name__)


class TenantGone(DataError):
    """The tenant was dropped; there may be another one of its name."""


class Operations(DatabaseOperations):
    """Shows statements as they were written, without what the tenant needs ahead of them."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        text = super().last_executed_query(cursor, sql, params)
        return text and text.removeprefix(getattr(cursor, "ahead", ""))


class DatabaseWrapper(base.DatabaseWrapper):
    """Sets search path and role together, in each transaction."""

    ops_class = Operations

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._identity = ""
        self._role_oid: int | None = None
        self._entered_tenant: Any = None
        self._is_begun = False  # whether the transaction has had its first settings
        self._session_is_used = True
        self._place: shared.Place | None = None
        # Not for threads that a request waits for: it may have one of the last connections.
        self.waits_for_others = True
        self._good_until = 0.0  # of a shared connection
        # Whether transactions of other clients share the sessions of the server, as in a pool.
        self.is_pooled = False
        tenant = current_tenant.get()
        super().__init__(*args, **kwargs)
        current_tenant.set(tenant)  # the library begins in none
        # The library's sets the path of the session, which each statement has by itself here.
        self.introspection = Introspection(self)

    @property
    def tenant(self) -> Any:
        return current_tenant.get()

    @tenant.setter
    def tenant(self, tenant: Any) -> None:
        if tenant is not None:  # as the library begins
            current_tenant.set(tenant)

    @property
    def schema_name(self) -> str:
        return str(current_tenant.get().schema_name)

    @schema_name.setter
    def schema_name(self, name: str | None) -> None:
        """Leave it as the tenant's: the library sets both."""

    # --- connection -----------------------------------------------------------------------

    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | {"cursor_factory": Cursor}

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.connection.tenancy = self  # from here on, statements are in the tenant

    def create_cursor(self, name: str | None = None) -> Any:
        if name is None:
            return super().create_cursor()
        # Without HOLD in a transaction: Django asks psycopg, which is not told of any here.
        cursor = ServerSideCursor(
            self.connection, name=name, scrollable=False, withhold=self.autocommit
        )
        register_tzloader(self.timezone, cursor)
        return cursor

    def chunked_cursor(self) -> Any:
        self.close_if_health_check_failed()
        self.ensure_connection()
        if self.autocommit and self._enter_if_needed().is_pooled:
            return self.cursor()  # a held cursor would stay behind in the session
        return super().chunked_cursor()

    def _set_autocommit(self, autocommit: bool) -> None:
        # psycopg would send BEGIN in a message for itself: `ahead_of` has it instead.
        super()._set_autocommit(True)

    def _commit(self) -> None:
        super()._commit()
        self.search_path_set_schemas = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Take what another thread has given back, where connections are shared; or connect."""
        if self.shares:
            if self.waits_for_others:
                self._place = shared.take(self.settings_dict["SHARED"])
            while found := shared.kept():
                self.connection, self._good_until = found
                self._session_is_used = True
                if self.is_usable():
                    return self.connection
                self.connection.close()
            self._good_until = time.monotonic() + self.settings_dict["SHARED_MAX_AGE"]
        try:
            new = self._connect(conn_params)
        except BaseException:
            self._give_back_place()
            raise
        new.roles_seen = set()
        return new

    def _connect(self, conn_params: dict[str, Any]) -> Any:
        """Connect; try the other password if this one is refused, because a role has only one."""
        try:
            return super().get_new_connection(conn_params)
        except OperationalError as error:
            other = self.settings_dict.get("PASSWORD_FALLBACK")
            # libpq gives no code for what happens before a connection is made.
            if not other or "authentication failed" not in str(error):
                raise
            return super().get_new_connection({**conn_params, "password": other})

    @property
    def shares(self) -> bool:
        """Whether threads take connections in turns: core.database_limits.share_connections."""
        return "SHARED" in self.settings_dict

    def _close(self) -> None:
        if self.connection is None or not self.shares:
            super()._close()
            return
        shared.keep(self.connection, self._good_until)
        self._give_back_place()

    def _give_back_place(self) -> None:
        place, self._place = self._place, None
        if place:
            shared.give_back(place)

    def is_usable(self) -> bool:
        """Tell whether the server still answers on this connection, within ALIVE_WITHIN seconds.

        Django's own waits as long as the connection exists: a server that hangs would hold up
        every request for ever. What a new request sends anyway is the question here, and saves a
        round trip; otherwise it is an empty query.
        """
        server = getattr(self.connection, "pgconn", None)
        if server is None:
            return False
        enters = self._session_is_used and self._is_idle()
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
        self.ensure_connection()
        self._enter_if_needed()
        return self._identity

    def is_tenant_there(self) -> bool:
        """Take the tenant now, not with the first query; tell whether the database has it."""
        if self.schema_name == get_public_schema_name():
            return True
        self.close_if_health_check_failed()
        self.ensure_connection()
        try:
            self._enter_if_needed()
        except TenantGone:
            return False
        return True

    def set_tenant(self, tenant: Any, include_public: bool = False) -> None:
        # A table that a tenant lacks must not be found in public.
        super().set_tenant(tenant, include_public=False)
        self._entered_tenant = None

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
        if self.connection is not None:
            self.connection.tenancy = None
        super().close()

    # --- statements -----------------------------------------------------------------------

    def ahead_of(self, statement: Any = None) -> tuple[str, ...]:
        """Return the statements that the next message begins with, to be in the tenant.

        Raises:
            TenantGone: when the tenant is not there.
            NotSupportedError: when a pipeline, whose messages hold one statement each, begins
                outside a transaction.
        """
        status = self.connection.pgconn.transaction_status
        if status == TransactionStatus.INERROR:
            return ()  # nothing but a rollback is possible now, and after it we are back here
        is_idle = status == TransactionStatus.IDLE
        if self.connection.pgconn.pipeline_status != PipelineStatus.OFF:
            if self.search_path_set_schemas and self._entered_tenant is self.tenant:
                return ()
            raise NotSupportedError(
                "a pipeline cannot begin outside a transaction: execute a statement in "
                "transaction.atomic() first"
            )
        self._enter_if_needed()
        if not is_idle and self.search_path_set_schemas:
            return ()
        self._is_begun = self._is_begun and not is_idle
        begin = (self._begin(),) if is_idle and not self.autocommit else ()
        if begin and isinstance(statement, str) and SET_TRANSACTION.match(statement):
            return begin
        ahead = begin + self._settings()
        self._is_begun = True
        return ahead

    def executed(self, tag: str | None) -> None:
        """Remember whether path and role are set, after a command of this tag.

        Raises:
            NotSupportedError: when it has no effect, because the session is a pool's.
        """
        is_idle = self._is_idle()
        # A raw ROLLBACK may be one to a savepoint from before they were set.
        is_over = is_idle or tag in {"BEGIN", "COMMIT", "ROLLBACK", "SET"}
        self.search_path_set_schemas = None if is_over else self._get_cursor_search_paths()
        # The session listens from the end of the transaction on, when it is another client's.
        is_without_effect = tag == "LISTEN" or (is_idle and tag in OF_THE_SESSION)
        if self.is_pooled and is_without_effect:
            transact = "" if tag == "LISTEN" else "open a transaction around all that needs it, or "
            raise NotSupportedError(
                f"{tag} lasts as long as a session, and this connection goes through a pool: "
                f"{transact}connect to the database itself"
            )

    @contextmanager
    def in_transaction(self) -> Iterator[None]:
        """Do what cannot begin with other statements in a transaction that has path and role."""
        is_own = self.autocommit and self._is_idle()
        ahead = self.ahead_of()
        if not is_own:
            self._run(*ahead)
            self.executed(None)
            yield
            return
        with self.connection.transaction():
            self._run(*ahead)
            yield

    @contextmanager
    def in_session(self) -> Iterator[None]:
        """Hold path and role in the session, for a statement that no transaction may hold.

        Raises:
            NotSupportedError: through a pool, where the session is not this connection's.
        """
        if self.is_pooled:
            raise NotSupportedError(
                "a statement that cannot run in a transaction cannot be sent through a pool: "
                "connect to the database itself"
            )
        self._run(_settings(self._paths(), self._role_literal(), is_local=False))
        try:
            yield
        finally:
            self._run("RESET ROLE", "RESET search_path")

    def _run(self, *statements: str) -> None:
        if statements:
            ClientCursor(self.connection).execute("; ".join(statements))

    def _begin(self) -> str:
        level = self.connection.isolation_level
        return f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}" if level else "BEGIN"

    def _settings(self) -> tuple[str, ...]:
        settings = _settings(self._paths(), self._role_literal())
        if self._is_begun or not self.is_pooled:
            return (settings,)
        # The limits are options of the connection, which a pool does not pass on.
        limits = re.findall(r"-c (\w+)=(\S+)", self.settings_dict["OPTIONS"].get("options", ""))
        return (*self._reset_session(), settings, *(f"SET LOCAL {n} = '{v}'" for n, v in limits))

    def _reset_session(self) -> tuple[str, ...]:
        *others, last = RESET_SESSION
        return (*others, last.format(time_zone=_quoted(self.timezone_name)))

    def _get_cursor_search_paths(self) -> Any:
        # The library's setting for this asks the database at each start of a process.
        return [*super()._get_cursor_search_paths(), EXTENSIONS]

    def _is_idle(self) -> bool:
        return self.connection.pgconn.transaction_status == TransactionStatus.IDLE

    def _handle_search_path(self, cursor: Any = None) -> None:
        """Do nothing when the library makes a cursor: each statement is in the tenant by itself.

        Private to the library, hence its pin; the isolation tests notice a change. The library
        forgets `search_path_set_schemas` whenever the server may have.
        """

    # --- entry ----------------------------------------------------------------------------

    def _enter_if_needed(self) -> "DatabaseWrapper":
        """Ask once whether the tenant is there, and discard what others left in the session.

        Not in a transaction, whose rollback would undo that.
        """
        status = self.connection.pgconn.transaction_status
        if status == TransactionStatus.INERROR:
            return self
        is_idle = status == TransactionStatus.IDLE
        if self._entered_tenant is self.tenant and not (self._session_is_used and is_idle):
            return self
        if self._entered_tenant is not None:  # another context was here, and has not left
            self._session_is_used = self._session_is_used or is_idle
        with self.wrap_database_errors, ClientCursor(self.connection) as own:
            own.execute(self._entry())
            own.set_result(-1)
            if own.pgresult is None or not own.pgresult.ntuples:
                name = repr(self.schema_name)
                raise TenantGone(f"there is no tenant {name}, or it is another one now")
            self._entered(own.pgresult)
        return self

    def _entry(self) -> bytes:
        """Return the message that asks for the tenant; its last result is `_entered`'s."""
        is_tenant = self.schema_name != get_public_schema_name()
        identity = getattr(self.tenant, "identity", None)
        question = (ENTER_TENANT if is_tenant else ENTER).format(
            role=_quoted(self._role()),
            name=_quoted(self.schema_name),
            identity=_quoted(str(identity)) + "::uuid" if identity else "NULL",
        )
        self._paths()  # refuses a name that none can have
        if not self._is_idle():
            return f"SET LOCAL ROLE NONE; {question}".encode()
        reset = self._reset_session() if self._session_is_used else ()
        return "; ".join((*reset, "RESET ROLE", question)).encode()

    def _entered(self, result: PGresult) -> None:
        """Remember what the answer says: identity, role, and whose process of the server it is."""
        process, role, *identity = (result.get_value(0, column) for column in range(result.nfields))
        self.is_pooled = int(process or 0) != self.connection.pgconn.backend_pid
        self._role_oid = int(role) if role else None
        self._identity = identity[0].decode() if identity and identity[0] else ""
        self._session_is_used = self._session_is_used and not self._is_idle()
        self._entered_tenant = self.tenant
        self.search_path_set_schemas = None
        self._end_after_many(self._role_oid)

    def _end_after_many(self, role: int | None) -> None:
        seen = self.connection.roles_seen
        seen.add(role)
        if len(seen) > MOST_TENANTS:  # with public
            self.close_at = self._good_until = 0.0

    def _paths(self) -> str:
        return ", ".join(map(quote_schema_name, self._get_cursor_search_paths()))

    def _role_literal(self) -> str:
        """Return the role as SQL. By its oid: a long task must not take the next of its name."""
        return f"{self._role_oid}::regrole::text" if self._role_oid else _quoted(self._role())

    def session_options(self) -> str:
        """Return options of libpq with which a connection begins where this one is."""
        return f"-c search_path={self.schema_name},{EXTENSIONS} -c role={self._role()}"

    def _role(self) -> str:
        if self.schema_name != get_public_schema_name():
            return role_of(self.schema_name)
        return getattr(self.tenant, "role", "none")


@lru_cache
def _settings(paths: str, role: str, *, is_local: bool = True) -> str:
    """Return the statement that sets path and role, so that both hold or neither does."""
    local = str(is_local).lower()
    path = f"set_config('search_path', {_quoted(paths)}, {local})"
    return f"SELECT {path}, set_config('role', {role}, {local})"


@lru_cache
def _quoted(text: str) -> str:
    return Literal(text).as_string()
