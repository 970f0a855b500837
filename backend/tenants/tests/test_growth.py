"""What a request or a release costs does not grow with the number of the other tenants."""

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from tenants.health import SHOWN, probe_migrations, probe_unknown_migrations
from tenants.models import Tenant

pytestmark = pytest.mark.django_db

TABLES = 300  # of another schema, as many as twelve tenants have


@pytest.fixture
def others():
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


@pytest.mark.parametrize("probe", [probe_migrations, probe_unknown_migrations])
def test_a_health_check_reads_the_tables_of_public_alone(others, probe):
    before = entries_read()
    probe()
    assert entries_read() - before < TABLES / 2


def test_a_release_reads_the_tables_of_the_tenant_alone(others):
    with schema_context("test1"):
        before = entries_read()
        assert MigrationRecorder(connection).has_table()
        assert entries_read() - before < TABLES / 2


@pytest.mark.parametrize("schema", ["test1", "public"])
def test_the_tables_of_a_schema_are_those_that_the_catalogue_has(schema):
    with schema_context(schema), connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        expected = {name for (name,) in cursor}
        cursor.execute("CREATE VIEW a_view AS SELECT 1; CREATE TEMPORARY TABLE own ()")
        found = {table.name: table.type for table in connection.introspection.get_table_list(cursor)}
    assert found == dict.fromkeys(expected | {"own"}, "t") | {"a_view": "v"}


def test_a_health_check_fetches_no_more_tenants_than_it_names(others):
    rows = [Tenant(schema_name=f"behind{number}", name="") for number in range(SHOWN * 3)]
    Tenant.objects.bulk_create(rows)
    with CaptureQueriesContext(connection) as queries, pytest.raises(RuntimeError, match="behind0"):
        probe_migrations()
    assert f"LIMIT {SHOWN + 1}" in queries[-1]["sql"]
