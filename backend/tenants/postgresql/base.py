"""django-tenants' backend, which also takes the tenant's database role.

With the search path alone, one line of raw SQL naming another schema would read it. With the
role PostgreSQL itself refuses.
"""

import select
from typing import Any

from django_tenants.postgresql_backend import base
from django_tenants.utils import get_public_schema_name, quote_schema_name
from psycopg import OperationalError
from psycopg.errors import InFailedSqlTransaction
from psycopg.pq import ConnStatus

from tenants.names import role_of

# Seconds that a kept connection has to show that it is alive.
ALIVE_WITHIN = 2

# One statement, because each costs a round trip, and because both hold or neither does.
TAKE = "SELECT set_config('search_path', %s, false), set_config('role', %s, false)"


class DatabaseWrapper(base.DatabaseWrapper):
    """Sets search path and role together, whenever either is not known to be right."""

    def is_usable(self) -> bool:
        """Tell whether the server still answers on this connection, within ALIVE_WITHIN seconds.

        Django's own waits as long as the connection exists: a server that hangs would hold up
        every request for ever. An empty query costs the same round trip as its SELECT 1.
        """
        server = getattr(self.connection, "pgconn", None)
        if server is None:
            return False
        try:
            server.send_query(b"")
            answer = select.poll()
            answer.register(server.socket, select.POLLIN)
            if not answer.poll(ALIVE_WITHIN * 1000):
                return False
            while server.get_result() is not None:
                pass
        except (OperationalError, OSError):
            return False
        return server.status == ConnStatus.OK

    def set_tenant(self, tenant: Any, include_public: bool = False) -> None:
        # A table that a tenant lacks must not be found in public.
        super().set_tenant(tenant, include_public=False)

    def _handle_search_path(self, cursor: Any = None) -> None:
        # Private to the library, hence its pin; the isolation tests notice a change. The
        # library forgets `search_path_set_schemas` whenever the server may have.
        if self.search_path_set_schemas:
            return
        paths = self._get_cursor_search_paths()
        search_path = ", ".join(quote_schema_name(path) for path in paths)
        with self.wrap_database_errors, self.connection.cursor() as own:
            try:
                own.execute(TAKE, [search_path, self._role()])
            except InFailedSqlTransaction:
                return  # nothing but a rollback is possible now, and after it we are back here
        self.search_path_set_schemas = paths

    def session_options(self) -> str:
        """Return options of libpq with which a connection begins where this one is."""
        return f"-c search_path={self.schema_name} -c role={self._role()}"

    def _role(self) -> str:
        if self.schema_name != get_public_schema_name():
            return role_of(self.schema_name)
        return getattr(self.tenant, "role", "none")
