"""The operators, who manage the tenants, in the public schema."""

from dataclasses import dataclass

from django_tenants.utils import get_public_schema_name

from tenants.names import role_of

# No tenant can be called public, so the name is free.
OPERATORS_ROLE = role_of(get_public_schema_name())


@dataclass(frozen=True)
class Operators:
    """Stands in for a tenant on the operators' host.

    Code that merely has no tenant is in public too, but without this role: it cannot read
    the operators' accounts by mistake.
    """

    schema_name: str = get_public_schema_name()
    name: str = "Operators"
    is_active: bool = True
    tenant_type: None = None
    role: str = OPERATORS_ROLE
    identity: str = get_public_schema_name()
