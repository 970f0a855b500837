"""Health tells a database that is behind from one that is ahead, and both from an old process."""

import sys
from types import ModuleType

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import schema_context

from tenants.health import probe_code, probe_migrations, probe_unknown_migrations
from tenants.migration import files, migrations_on_disk, stamp_of, unknown
from tenants.models import Release, Tenant
from tenants.release import release as release_again

EXAMPLE = "development.notes"
NEWER = ("notes", "0003_note_of_another_branch")


@pytest.fixture
def released(db):
    """Return a function that stamps public and the tenants, as a release of other code does."""
    connection.set_schema_to_public()

    def release(*migrations):
        stamp = stamp_of(migrations)
        Release.objects.create(stamp=stamp)
        Tenant.objects.update(migrations_stamp=stamp)

    return release


@pytest.fixture
def applied(db):
    """Return a function that records a migration in public, as another branch's release does."""
    connection.set_schema_to_public()
    recorder = MigrationRecorder(connection)
    return lambda app, name: recorder.record_applied(app, name)


def test_a_database_as_new_as_the_code_is_fine(applied):
    probe_migrations()
    probe_unknown_migrations()


def test_a_migration_that_this_code_lacks_is_named(applied):
    applied(*NEWER)

    with pytest.raises(RuntimeError, match=r"code lacks: notes\.0003_note_of_another_branch; run"):
        probe_unknown_migrations()


def test_tenants_of_a_newer_release_are_not_called_behind(applied, released):
    applied(*NEWER)
    released(*migrations_on_disk(), NEWER)
    probe_migrations()

    Tenant.objects.filter(schema_name="test2").update(migrations_stamp="of an older one")
    with pytest.raises(RuntimeError, match=r"pending in test2; run: \./dev migrate"):
        probe_migrations()


def test_tenants_of_a_release_with_another_application_are_not_called_behind(applied, released):
    """As after startapp and migrate, until web is restarted."""
    new = ("invoices", "0001_initial")
    applied(*new)
    released(*migrations_on_disk(), new)
    probe_migrations()
    probe_unknown_migrations()


def test_tenants_of_a_release_with_fewer_migrations_are_not_called_behind(released):
    """As when the files that a squashed migration replaces are gone, or an application is."""
    released(*(name for name in migrations_on_disk() if name[0] != "notes"))
    probe_migrations()
    probe_unknown_migrations()


@pytest.fixture
def newer_file(monkeypatch, tmp_path):
    """The file of a migration that came after the start of this process."""
    (tmp_path / f"{NEWER[1]}.py").touch()
    (tmp_path / "_shared.py").touch()  # which is none
    package = ModuleType(f"{EXAMPLE}.migrations")
    package.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, f"{EXAMPLE}.migrations", package)


def test_a_process_that_is_older_than_its_files_is_told_to_restart(applied, newer_file):
    applied(*NEWER)
    applied("notes", "0003_of_no_file")

    with pytest.raises(RuntimeError, match=r"older than notes\.0003_note_of_another_branch; run: "
                       r"\./dev restart web worker"):  # fmt: skip
        probe_code()
    with pytest.raises(RuntimeError, match=r"code lacks: notes\.0003_of_no_file; run"):
        probe_unknown_migrations()


def test_a_file_that_is_newer_than_its_process_is_pending(applied, newer_file):
    with pytest.raises(RuntimeError, match=r"pending in public; run: \./dev migrate"):
        probe_migrations()
    applied(*NEWER)
    probe_migrations()


def test_a_release_forgets_a_migration_that_failed_and_has_no_file_any_more(applied):
    applied(*NEWER)
    applied("notes", "0003_of_a_tenant")
    with schema_context("test2"):
        MigrationRecorder(connection).record_applied("notes", "0003_of_a_tenant")
    applied("tenants", "9999_of_public")
    release_again()

    lacking = unknown(MigrationRecorder(connection).applied_migrations())
    assert lacking == {("notes", "0003_of_a_tenant"), ("tenants", "9999_of_public")}


def test_the_migrations_of_a_process_are_those_of_its_start():
    migrations_on_disk.cache_clear()
    get_wsgi_application()
    assert migrations_on_disk.cache_info().currsize == 1


def test_the_files_of_an_application_are_its_migrations():
    known = {(app, name) for app, name in migrations_on_disk() if app == "notes"}
    assert known <= files()


@pytest.mark.parametrize("name", ["0001_squashed_0003_all", "0001_initial_squashed_0003_all"])
def test_rows_of_squashed_and_of_removed_applications_do_not_count(monkeypatch, name):
    squashed = {("notes", name)}
    monkeypatch.setattr("tenants.migration.migrations_on_disk", lambda: squashed)
    old = {("notes", "0001_initial"), ("notes", "0003_more"), ("removed", "0001_initial")}

    assert unknown(old | squashed) == set()
    assert unknown([*old, ("notes", "0004_next")]) == {("notes", "0004_next")}
