"""Which tenant this is, if it is one."""

from django.db import connection
from django_tenants.utils import get_public_schema_name


def in_a_tenant() -> bool:
    """Tell whether the tables of a tenant are there; the operators' schema has accounts only."""
    return connection.schema_name != get_public_schema_name()


def file_prefix() -> str:
    """Return the folder of the tenant's files. The name is for people to find it by.

    With the name alone, the next tenant of a name would own what a request or an address that
    outlived the drop has written or signed.
    """
    if connection.schema_name == connection.tenant_identity:
        return connection.schema_name  # public
    return f"{connection.schema_name}/{connection.tenant_identity}"
