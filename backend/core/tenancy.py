"""Whether this is a tenant's place, or the operators'."""

from django.db import connection
from django_tenants.utils import get_public_schema_name


def in_a_tenant() -> bool:
    """Tell whether the tables of a tenant are there; the operators' schema has accounts only."""
    return connection.schema_name != get_public_schema_name()
