"""Roles, rights and schemas: what a tenant is in PostgreSQL. Runs as app_owner.

All rights are given here, so that a database no init script has seen gets the same ones.
Grants of roles are written out because since PostgreSQL 16 making a role gives no right to
become it: https://www.postgresql.org/docs/current/role-attributes.html
"""

from __future__ import annotations

from typing import Any

import structlog
from django.db import connection, transaction
from django_tenants.utils import get_public_schema_name
from psycopg.sql import Identifier

from tenants.models import Domain, Release, Tenant
from tenants.names import role_of
from tenants.operators import OPERATORS_ROLE

APPLICATION_ROLE = "app"

log = structlog.get_logger(__name__)


class SchemaTaken(Exception):
    """A schema of that name exists and belongs to somebody else."""


def unprovisioned() -> set[str]:
    """Return the names of the tenants that lack their schema, their role, or a grant of it.

    One query for all of them: asking for each would cost more than all the rest of a release
    that has nothing to do. Not by pg_has_role, which goes through all grants of a member for each.
    """
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH member AS (SELECT oid FROM pg_roles WHERE rolname IN (current_user, %s))
               SELECT schema_name FROM tenant_config
               LEFT JOIN pg_roles role ON role.rolname = %s || schema_name
               LEFT JOIN pg_namespace space ON space.nspname = schema_name
               WHERE role.oid IS NULL OR space.nspowner IS DISTINCT FROM role.oid
                  OR EXISTS (SELECT FROM member WHERE NOT EXISTS (
                        SELECT FROM pg_auth_members
                        WHERE roleid = role.oid AND member = member.oid AND set_option))""",
            [APPLICATION_ROLE, role_of("")],
        )
        return {name for (name,) in cursor.fetchall()}


def provision(tenant: Tenant) -> None:
    """Make the tenant's role and schema where they are missing.

    Raises:
        SchemaTaken: when the schema belongs to another role; its tables would, too.
    """
    role = role_of(tenant.schema_name)
    with transaction.atomic():
        connection.set_schema_to_public()
        _make_role(role)
        schema, owner = map(_quote, (tenant.schema_name, role))
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}")
            cursor.execute(
                "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %s",
                [tenant.schema_name],
            )
            owner = cursor.fetchone()[0]
    if owner != role:
        raise SchemaTaken(
            f"the schema {tenant.schema_name} belongs to {owner}, not to {role}; give it and its "
            f"tables over with ALTER … OWNER TO {role}, or choose another name"
        )


def grant_in_public() -> None:
    """Grant the application the least rights in public that work, and revoke all others.

    Without a tenant it reads the list of tenants and the applied migrations. The operators'
    role may besides keep accounts, and add tenants, rename and suspend them; the schema's name
    and the stamp are not for the web to change.
    """
    operators = _quote(OPERATORS_ROLE)
    tenants, domains, releases = map(_table, (Tenant, Domain, Release))
    public = _quote(get_public_schema_name())
    with transaction.atomic():
        connection.set_schema_to_public()
        _make_role(OPERATORS_ROLE)
        roles = [operators, *([APPLICATION_ROLE] if _role_exists(APPLICATION_ROLE) else [])]
        everyone = ", ".join(roles)
        kept_by_releases = f"{tenants}, {releases}, django_migrations"
        with connection.cursor() as cursor:
            cursor.execute(f"REVOKE ALL ON SCHEMA {public} FROM PUBLIC")
            cursor.execute(f"GRANT USAGE ON SCHEMA {public} TO {everyone}")
            tables = ", ".join(map(_quote, _own_tables()))
            cursor.execute(f"REVOKE ALL ON {tables} FROM {everyone}")
            cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {operators}")
            cursor.execute(f"REVOKE ALL ON {kept_by_releases} FROM {operators}")
            cursor.execute(f"GRANT SELECT ON {kept_by_releases}, {domains} TO {everyone}")
            cursor.execute(f"GRANT INSERT, UPDATE (name, is_active) ON {tenants} TO {operators}")
    if len(roles) == 1:
        log.warning(
            "the role app is missing, so nothing but the owner can use this database; make it "
            "as init-scripts/postgres does, then release again"
        )


def drop_schema(tenant: Tenant) -> bool:
    """Drop the tenant's schema with everything in it, and its role.

    A schema of that name that belongs to another role is left alone.

    Returns:
        Whether the role is gone. It stays while another database of the cluster needs it.
    """
    connection.set_schema_to_public()
    role = role_of(tenant.schema_name)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_namespace WHERE nspname = %s AND nspowner = to_regrole(%s)",
            [tenant.schema_name, _quote(role)],
        )
        if cursor.fetchone() is not None:
            cursor.execute(f"DROP SCHEMA {_quote(tenant.schema_name)} CASCADE")
        cursor.execute(
            """SELECT EXISTS (SELECT FROM pg_shdepend
                              WHERE refclassid = 'pg_authid'::regclass
                                AND refobjid = to_regrole(%s)
                                AND classid <> 'pg_auth_members'::regclass)""",
            [_quote(role)],
        )
        needed_elsewhere = cursor.fetchone()[0]
        if not needed_elsewhere:
            cursor.execute(f"DROP ROLE IF EXISTS {_quote(role)}")
    return not needed_elsewhere


def _make_role(role: str) -> None:
    quoted = _quote(role)
    with connection.cursor() as cursor:
        if not _role_exists(role):
            cursor.execute(f"CREATE ROLE {quoted} NOLOGIN")
        cursor.execute(f"GRANT {quoted} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
        if _role_exists(APPLICATION_ROLE):
            cursor.execute(f"GRANT {quoted} TO {APPLICATION_ROLE} WITH INHERIT FALSE, SET TRUE")


def _role_exists(role: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        return cursor.fetchone() is not None


def _own_tables() -> list[str]:
    """Return the tables in public that are this login's: those of extensions are not."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT tablename FROM pg_tables
               WHERE schemaname = %s AND tableowner = current_user ORDER BY tablename""",
            [get_public_schema_name()],
        )
        return [table for (table,) in cursor.fetchall()]


def _table(model: type[Any]) -> str:
    return _quote(model._meta.db_table)


def _quote(name: str) -> str:
    """Quote an identifier; Django's quote_name leaves the quotes in a name as they are."""
    return Identifier(name).as_string()
