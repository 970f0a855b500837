"""A release is rehearsed on a copy: what is unsafe in its migrations is found, and nothing else."""

from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.contrib.postgres import operations as postgres
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterModelTable,
    Migration,
    RemoveField,
    RenameField,
    RunPython,
    RunSQL,
)
from django.db.migrations.loader import MigrationLoader
from django.db.models import CheckConstraint, Index, Q, UniqueConstraint
from django_tenants.utils import schema_context

from tenants import migration as migration_module
from tenants import rehearsal
from tenants.locks import MAINTENANCE_DATABASE
from tenants.rehearsal import COPY, RehearsalFailed, rehearse
from users.models import User

BACKEND = Path(__file__).parents[2]
LOCK_LIMIT = 1  # seconds

ROLLING = {
    "nullable": AddField("note", "color", models.CharField(max_length=9, null=True)),
    "default": AddField("note", "stars", models.IntegerField(db_default=0)),
    "wider": AlterField("note", "title", models.CharField(max_length=400)),
    "concurrent": postgres.AddIndexConcurrently("note", Index(fields=["words"], name="words")),
    "unchecked": postgres.AddConstraintNotValid(
        "note", CheckConstraint(condition=Q(stars__gte=0), name="stars")
    ),
    "checked": postgres.ValidateConstraint("note", "stars"),
    "unused": RemoveField("note", "color"),
}
# The operation, a part of what is said, and a part of the remedy.
UNSAFE = {
    "long": (
        RunSQL("LOCK notes_note IN EXCLUSIVE MODE; SELECT pg_sleep(4)", reverse_sql=RunSQL.noop),
        f"blocks notes_note for longer than the {LOCK_LIMIT} s",
        "split it",
    ),
    "required": (
        AddField("note", "code", models.CharField(max_length=9, default="")),
        "an INSERT lacks code, NOT NULL without a default",
        "db_default",
    ),
    "index": (
        AddIndex("note", Index(fields=["created_at"], name="created")),
        "builds an index: reads all of notes_note while writes wait",
        "AddIndexConcurrently",
    ),
    "index_alone": (
        AddIndex("note", Index(fields=["file"], name="file")),
        "builds an index: reads all of notes_note while writes wait",
        "AddIndexConcurrently",
    ),
    "type": (
        AlterField("note", "words", models.BigIntegerField(null=True)),
        "rewrites notes_note",
        "a new column",
    ),
    "unique": (
        AddConstraint("note", UniqueConstraint(fields=["file", "id"], name="once")),
        "builds a unique index",
        "USING INDEX",
    ),
    "check": (
        AddConstraint("note", CheckConstraint(condition=Q(id__gt=0), name="positive")),
        "checks a constraint",
        "AddConstraintNotValid",
    ),
    "no_null": (
        AlterField("note", "words", models.BigIntegerField(default=0)),
        "looks for NULL",
        "IS NOT NULL",
    ),
    "one_way": (
        RunPython(RunPython.noop),
        "cannot be undone: RunPython",
        "RunPython.noop",
    ),
    "dropped": (
        RemoveField("note", "created_at"),
        "the code before fails: notes.Note: column notes_note.created_at does not exist",
        "until the release after",
    ),
    "renamed": (
        RenameField("note", "text", "body"),
        "the code before fails: notes.Note: column notes_note.text does not exist",
        "until the release after",
    ),
    "renamed_table": (
        AlterModelTable("note", "notes"),
        'the code before fails: notes.Note: relation "notes_note" does not exist',
        "until the release after",
    ),
    "dropped_table": (
        RunSQL("DROP TABLE users_user_groups", reverse_sql=RunSQL.noop),
        'the code before fails: users.User_groups: relation "users_user_groups" does not exist',
        "until the release after",
    ),
}


@pytest.fixture
def rehearsed(django_db_setup, django_db_blocker, monkeypatch):
    """Return a function that rehearses migrations of notes, one for each operation, on a copy."""
    database = connection.settings_dict["NAME"]
    copy = database + COPY
    limits = {"WEB_DATABASE_LIMITS": {"lock": LOCK_LIMIT, "statement": 20, "idle": 30}}
    monkeypatch.setattr(rehearsal, "environment", lambda: limits)
    load_disk = MigrationLoader.load_disk

    def rehearse_these(operations, allowed=(), directory=BACKEND, run=rehearse):
        def with_these(loader):
            load_disk(loader)
            before = ("notes", "0001_initial")
            for name, operation in operations.items():
                added = Migration(name, "notes")
                added.dependencies = [before]
                added.operations = [operation]
                added.atomic = "oncurrent" not in type(operation).__name__ and "alone" not in name
                before = ("notes", name)
                loader.disk_migrations[before] = added

        monkeypatch.setattr(MigrationLoader, "load_disk", with_these)
        migration_module.migrations_on_disk.cache_clear()
        migration_module.stamp.cache_clear()
        said = []
        return run(directory, list(allowed), said.append)

    with django_db_blocker.unblock():
        params = connection.get_connection_params() | {"dbname": MAINTENANCE_DATABASE}
        connection.close()
        with psycopg.connect(**params, autocommit=True) as own:
            own.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
            own.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{database}"')
            connection.settings_dict["NAME"] = copy
            try:
                with schema_context("test1"):
                    user = User.objects.create(email="ann@example.com")
                    with connection.cursor() as cursor:
                        cursor.execute(
                            "INSERT INTO notes_note (user_id, title, text, words, file, created_at)"
                            " VALUES (%s, '', '', 0, '', now())",
                            [user.pk],
                        )
                yield rehearse_these
            finally:
                connection.close()
                connection.settings_dict["NAME"] = database
                own.execute(f'DROP DATABASE "{copy}" WITH (FORCE)')
                monkeypatch.undo()
                migration_module.migrations_on_disk.cache_clear()
                migration_module.stamp.cache_clear()


def test_each_unsafe_migration_is_found_in_every_tenant(rehearsed):
    report = rehearsed({name: operation for name, (operation, *_) in UNSAFE.items()})

    missing = [
        (name, words)
        for name, (_, words, remedy) in UNSAFE.items()
        if not any(
            found.migration == f"notes.{name}"
            and words in found.what
            and remedy in found.remedy
            and {"test1", "test2"} <= set(found.schemas)
            for found in report.findings.values()
        )
    ]
    assert missing == [], report.as_json()
    assert not report.safe
    # The load of the code before met the long lock, where there was a row to copy.
    _, test1, _ = report.schemas
    assert test1.longest_wait >= LOCK_LIMIT
    met = [found for found in report.findings.values() if "lock timeout" in found.what]
    assert [(found.migration, found.schemas) for found in met] == [("notes.long", ["test1"])]


def test_migrations_for_a_rolling_release_are_safe(rehearsed):
    report = rehearsed(ROLLING)
    assert report.as_json()["unsafe"] == []
    assert report.safe
    public, *tenants = report.schemas
    assert [public.schema, *(each.schema for each in tenants)] == ["public", "test1", "test2"]
    for each in tenants:
        assert each.migrations == [f"notes.{name}" for name in ROLLING]
        assert each.seconds >= sum(lock["seconds"] for lock in each.locks) > 0
        assert {lock["table"] for lock in each.locks} == {"notes_note"}
        assert each.longest_wait > 0
    assert public.locks == []


def test_failing_migrations_are_found_and_allowed_ones_do_not_count(rehearsed):
    operations = {"index": UNSAFE["index"][0], "wrong": RunSQL("SELECT 1 FROM nowhere", "")}
    with schema_context("test2"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'contenttypes'")
    report = rehearsed(operations, allowed=["notes.index", "notes.wrong"])

    found = {found.migration: found for found in report.findings.values()}
    assert 'fails: relation "nowhere" does not exist' in found["notes.wrong"].what
    assert found["notes.wrong"].schemas == ["test1"]
    assert found["notes.index"].allowed
    # Before any migration.
    assert found[""].schemas == ["test2"]
    assert "contenttypes.0001_initial" in found[""].what
    assert [each for each in report.findings.values() if not each.allowed] == [found[""]]
    assert not report.safe


def test_the_command_prints_a_table_and_what_is_unsafe(rehearsed):
    out = StringIO()

    def run(directory, *_):
        name = connection.settings_dict["NAME"]
        call_command("rehearse", name, "--old", str(directory), stdout=out, stderr=StringIO())

    with pytest.raises(SystemExit):
        rehearsed({"index": UNSAFE["index"][0]}, run=run)
    heading, *rows = out.getvalue().split("\n\n")[0].splitlines()
    assert heading.startswith("SCHEMA")
    assert [row.split()[0] for row in rows] == ["public", "test1", "test2"]
    assert "unsafe: notes.index builds an index" in out.getvalue()
    assert "in test1, test2" in out.getvalue()


def test_no_connection_sees_the_tables_of_all_tenants(rehearsed, monkeypatch):
    processes = []

    def note(_said):
        connection.ensure_connection()
        processes.append(connection.connection.info.backend_pid)

    monkeypatch.setattr(rehearsal, "TENANTS_A_CONNECTION", 1)
    report = rehearsed(
        {"nullable": ROLLING["nullable"]},
        run=lambda directory, allowed, _: rehearse(directory, allowed, note),
    )
    assert report.safe
    assert len(set(processes)) == len(processes) == 3


def test_nothing_is_rehearsed_if_nothing_is_pending(rehearsed):
    report = rehearsed({})
    assert (report.safe, report.schemas) == (True, [])


def test_code_that_is_not_the_one_before_is_refused_before_anything_is_migrated(
    rehearsed, tmp_path
):
    index = {"index": UNSAFE["index"][0]}
    with pytest.raises(RehearsalFailed, match="has ended"):
        rehearsed(index, directory=tmp_path)

    with schema_context("test2"), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE notes_note DROP COLUMN text")
    with pytest.raises(RehearsalFailed, match=r"fails in test2 before.*text"):
        rehearsed(index)

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'notes'")
    with pytest.raises(RehearsalFailed, match=r"pending migrations, too: notes\.0001_initial"):
        rehearsed(index)


def test_the_database_itself_is_refused(django_db_setup):
    with pytest.raises(RehearsalFailed, match="only a copy"):
        rehearse(BACKEND, [], print)
