"""django-tenants' backend, which also takes the tenant's database role.

With the search path alone, one line of raw SQL naming another schema would read it. With the
role PostgreSQL itself refuses.
"""

from django_tenants.postgresql_backend import base
from django_tenants.utils import get_public_schema_name

from tenants.names import role_of


class DatabaseWrapper(base.DatabaseWrapper):
    """Sets search path and role together, whenever either is not known to be right."""

    def _handle_search_path(self, cursor=None):
        # Private to the library, hence its pin; the isolation tests notice a change.
        before = self.search_path_set_schemas
        super()._handle_search_path(cursor)
        paths = self.search_path_set_schemas
        if paths is None or paths is before:  # an aborted transaction, or nothing changed
            return
        self.search_path_set_schemas = None  # not settled before the role is right, too
        with self.wrap_database_errors, self.connection.cursor() as role_cursor:
            role_cursor.execute(f"SET ROLE {self._role()}")
        self.search_path_set_schemas = paths

    def _role(self) -> str:
        if self.schema_name == get_public_schema_name():
            return "NONE"
        return self.ops.quote_name(role_of(self.schema_name))
