"""A release makes PostgreSQL's extensions once, and every tenant finds them."""

import pytest
from django.contrib.postgres.operations import CITextExtension
from django.db import ProgrammingError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django_tenants.utils import schema_context

from tenants.extensions import ExtensionUnavailable, make_extensions
from tenants.names import EXTENSIONS, is_tenant_name
from tenants.release import ReleaseFailed, release

pytestmark = pytest.mark.django_db


def available(condition: str) -> str:
    """Return the name of an extension of this server; skip the test if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT name FROM pg_available_extension_versions WHERE {condition} ORDER BY name"
        )
        row = cursor.fetchone()
    if row is None:
        pytest.skip(f"not applicable: this server has no extension with {condition}")
    return row[0]


def schema_of(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = %s", [name]
        )
        return cursor.fetchone()[0]


def test_an_extension_is_found_from_every_tenant(settings):
    settings.POSTGRES_EXTENSIONS = [available("name = 'citext' AND trusted")]
    make_extensions()
    make_extensions()
    assert schema_of("citext") == EXTENSIONS
    for tenant in ("test1", "test2"):
        with schema_context(tenant), connection.cursor() as cursor:
            cursor.execute("SELECT 'Ann'::citext = 'ANN', current_schema()")
            assert cursor.fetchone() == (True, tenant)


def test_an_extension_elsewhere_is_named_with_the_statement_that_moves_it(settings):
    settings.POSTGRES_EXTENSIONS = [available("name = 'citext' AND trusted")]
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION IF EXISTS citext")
        cursor.execute("CREATE EXTENSION citext SCHEMA public")
    # Its owner may not: the server's superuser owns what is in it.
    with pytest.raises(ExtensionUnavailable, match='ALTER EXTENSION "citext" SET SCHEMA'):
        make_extensions()


def test_a_tenant_cannot_create_in_the_schema_of_extensions():
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {EXTENSIONS}")
        cursor.execute(f"GRANT USAGE ON SCHEMA {EXTENSIONS} TO PUBLIC")
    denied = pytest.raises(ProgrammingError, match="permission denied for schema extensions")
    with schema_context("test1"), denied, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {EXTENSIONS}.mine (id int)")
    assert not is_tenant_name(EXTENSIONS)


def test_what_the_server_lacks_is_named_before_anything_is_migrated(settings):
    settings.POSTGRES_EXTENSIONS = ["strange_one", "plpgsql", "strange_two"]
    with pytest.raises(ReleaseFailed, match=r"strange_one, strange_two .* Nothing was migrated"):
        release()


def test_what_only_a_superuser_may_make_is_named_with_the_statement(settings):
    name = available("superuser AND NOT trusted AND NOT installed AND requires IS NULL")
    settings.POSTGRES_EXTENSIONS = [name]
    with pytest.raises(ExtensionUnavailable, match=f'CREATE EXTENSION "{name}" SCHEMA extensions'):
        make_extensions()


def test_a_migration_that_makes_an_undeclared_extension_is_refused(settings, monkeypatch):
    settings.POSTGRES_EXTENSIONS = []
    load = MigrationLoader.load_disk

    def with_one_more(loader):
        load(loader)
        loader.disk_migrations["users", "0001_initial"].operations.append(CITextExtension())

    monkeypatch.setattr(MigrationLoader, "load_disk", with_one_more)
    with pytest.raises(ReleaseFailed, match=r"not declared: citext \(users.0001_initial\)"):
        release()
