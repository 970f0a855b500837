"""Names a tenant may have, and the names that follow from them."""

import re

# The init script and the table's own constraint say the same; a test compares them.
SCHEMA_NAME = r"^[a-z][a-z0-9_]{0,55}$"
RESERVED = ("public", "information_schema")
EXTENSIONS = "extensions"  # the schema of PostgreSQL's extensions: tenants/extensions.py


def is_tenant_name(name: str) -> bool:
    """Tell whether a tenant may be called this.

    Roles live in the whole cluster and hold 63 bytes, so that with its prefix the longest
    name still fits and none can be that of a log-in role.
    """
    return (
        bool(re.fullmatch(SCHEMA_NAME.strip("^$"), name))
        and not name.startswith("pg_")
        and name not in (*RESERVED, EXTENSIONS)
    )


def role_of(schema_name: str) -> str:
    """Return the database role that works in this schema: a tenant's, or the operators'."""
    return f"tenant_{schema_name}"
