"""django-tenants' backend, which also takes the tenant's database role.

With the search path alone, one line of raw SQL naming another schema would read it. With the
role PostgreSQL itself refuses.
"""

from typing import Any

from django_tenants.postgresql_backend import base
from django_tenants.utils import get_public_schema_name, quote_schema_name
from psycopg.errors import InFailedSqlTransaction

from tenants.names import role_of

# One statement, because each costs a round trip, and because both hold or neither does.
TAKE = "SELECT set_config('search_path', %s, false), set_config('role', %s, false)"


class DatabaseWrapper(base.DatabaseWrapper):
    """Sets search path and role together, whenever either is not known to be right."""

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

    def _role(self) -> str:
        if self.schema_name != get_public_schema_name():
            return role_of(self.schema_name)
        return getattr(self.tenant, "role", "none")
