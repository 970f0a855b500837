"""Which tenant this is, if it is one."""

from django.db import connection, router
from django.db.models import Model
from django_tenants.utils import get_public_schema_name


def in_a_tenant() -> bool:
    """Tell whether the tables of a tenant are there; the operators' schema has accounts only."""
    return connection.schema_name != get_public_schema_name()


def has_application(label: str) -> bool:
    """Tell whether an application has its tables here: it is in SHARED_APPS, or TENANT_APPS."""
    return router.allow_migrate(connection.alias, label)


def has_table(model: type[Model]) -> bool:
    """Tell whether the schema of the connection has the model's table."""
    return has_application(model._meta.app_label)


def file_prefix() -> str:
    """Return the folder of the tenant's files. The name is for people to find it by.

    With the name alone, the next tenant of a name would own what a request or an address that
    outlived the drop has written or signed.
    """
    if connection.schema_name == connection.tenant_identity:
        return connection.schema_name  # public
    return f"{connection.schema_name}/{connection.tenant_identity}"
