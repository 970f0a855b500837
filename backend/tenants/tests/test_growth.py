"""What a request or a release costs does not grow with the number of the other tenants."""

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from tenants.health import SHOWN, probe_code, probe_migrations, probe_unknown_migrations
from tenants.models import Tenant
from tenants.postgresql import base, shared

TABLES = 300  # of another schema, as many as twelve tenants have


@pytest.fixture
def others(db):
    """A schema with many tables."""
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        tables = (f"CREATE TABLE others_{number} ()" for number in range(TABLES))
        cursor.execute(f"CREATE SCHEMA others {' '.join(tables)}")


def entries_read() -> int:
    """Return how many entries of PostgreSQL's list of tables this transaction has read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_returned('pg_class'::regclass)")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("probe", [probe_code, probe_migrations, probe_unknown_migrations])
def test_a_health_check_reads_the_tables_of_public_alone(others, probe):
    before = entries_read()
    probe()
    assert entries_read() - before < TABLES / 2


def test_a_release_reads_the_tables_of_the_tenant_alone(others):
    with schema_context("test1"):
        before = entries_read()
        assert MigrationRecorder(connection).has_table()
        assert entries_read() - before < TABLES / 2


@pytest.mark.django_db
@pytest.mark.parametrize("schema", ["test1", "public"])
def test_the_tables_of_a_schema_are_those_that_the_catalogue_has(schema):
    with schema_context(schema), connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        expected = {name for (name,) in cursor}
        cursor.execute("CREATE VIEW a_view AS SELECT 1; CREATE TEMPORARY TABLE own ()")
        found = connection.introspection.get_table_list(cursor)
    assert {table.name: table.type for table in found} == dict.fromkeys(expected | {"own"}, "t") | {
        "a_view": "v"
    }


def test_a_health_check_fetches_no_more_tenants_than_it_names(others):
    rows = [Tenant(schema_name=f"behind{number}", name="") for number in range(SHOWN * 3)]
    Tenant.objects.bulk_create(rows)
    with CaptureQueriesContext(connection) as queries, pytest.raises(RuntimeError, match="behind0"):
        probe_migrations()
    assert f"LIMIT {SHOWN + 1}" in queries[-1]["sql"]


def session_of(tenant: str) -> int:
    """Return the process of the database that serves a request of this tenant."""
    with schema_context(tenant):
        assert connection.is_tenant_there()
    process = connection.connection.info.backend_pid
    connection.set_schema_to_public()
    connection.close_if_unusable_or_obsolete()  # as Django does after each request
    return process


@pytest.mark.parametrize(
    "ages",
    [{"CONN_MAX_AGE": 300}, {"CONN_MAX_AGE": 0, "SHARED": 1, "SHARED_MAX_AGE": 300}],
    ids=["of the thread", "shared"],
)
def test_a_kept_connection_ends_after_many_tenants(as_app, ages):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "MOST_TENANTS", 1)
        for name, value in ages.items():
            patch.setitem(connection.settings_dict, name, value)
        first = session_of("test1")
        assert session_of("test1") == first
        assert session_of("test2") == first
        assert session_of("test1") != first
        connection.close()
        while kept := shared.kept():
            kept[0].close()
