"""A release migrates public and every tenant, also beside other releases."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.migrations import Migration, RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import IntegerField
from django.db.models.signals import post_migrate
from django_tenants.utils import schema_context, schema_exists
from structlog.testing import capture_logs

from core.tests.waiting import wait_until
from tenants import locks
from tenants import migration as migration_module
from tenants import release as release_module
from tenants.locks import LOCK, MAINTENANCE_DATABASE
from tenants.management.commands import release as release_command
from tenants.migration import stamp
from tenants.models import Tenant
from tenants.names import RESERVED, SCHEMA_NAME
from tenants.provisioning import unprovisioned
from tenants.release import ReleaseFailed, release
from tenants.tests.logins import APPLICATION
from users.models import User

BACKEND = Path(__file__).parents[2]
INIT_SCRIPT = BACKEND.parent / "init-scripts" / "postgres" / "01-init-schemas.sql"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alone")]


def insert_by_sql(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenant_config (schema_name, name) VALUES (%s, %s)", [name, name]
        )


def test_a_row_inserted_by_sql_becomes_a_working_tenant():
    insert_by_sql("third")
    release()

    assert Tenant.objects.get(schema_name="third").migrations_stamp == stamp()
    with schema_context("third"):
        User.objects.create_user("ann@example.com")
        assert User.objects.count() == 1


def test_a_single_tenant_is_made_once(settings):
    settings.SINGLE_TENANT = "acme_2"
    release()
    release()

    tenant = Tenant.objects.get(schema_name="acme_2")
    assert (tenant.name, tenant.migrations_stamp) == ("Acme 2", stamp())


def test_a_table_in_public_that_is_somebody_elses_is_left_alone():
    # As those of an extension are, or one that a superuser made.
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE somebody")
        cursor.execute("GRANT somebody TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")
        cursor.execute("GRANT USAGE, CREATE ON SCHEMA public TO somebody")
        cursor.execute("SET LOCAL ROLE somebody")
        cursor.execute("CREATE TABLE public.theirs (id int)")
        cursor.execute("RESET ROLE")
    release()

    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('app', 'public.theirs', 'SELECT')")
        assert cursor.fetchone() == (False,)


def test_a_tenant_that_is_up_to_date_is_not_migrated_again(monkeypatch):
    migrated = []
    monkeypatch.setattr(release_module, "migrate", migrated.append)
    release()
    assert migrated == ["public"]


def test_a_broken_tenant_is_named_and_the_others_are_released(monkeypatch):
    insert_by_sql("aaa")
    insert_by_sql("zzz")
    migrate = release_module.migrate

    def break_aaa(schema_name):
        if schema_name == "aaa":
            raise RuntimeError("broken")
        migrate(schema_name)

    monkeypatch.setattr(release_module, "migrate", break_aaa)
    with pytest.raises(CommandError, match="aaa") as caught:
        call_command("release")

    assert "zzz" not in str(caught.value)
    assert schema_exists("zzz")
    assert Tenant.objects.get(schema_name="aaa").migrations_stamp == ""


@pytest.fixture
def migrated(monkeypatch):
    """The schemas that a release migrates; it only names them."""
    found = []
    monkeypatch.setattr(release_module, "migrate", found.append)
    return found


def test_two_leaf_migrations_are_refused_before_anything_is_migrated(migrated, monkeypatch):
    loader = MigrationLoader(None)
    loader.graph.add_node(("users", "0099_other"), Migration("0099_other", "users"))
    loader.graph.add_dependency(None, ("users", "0099_other"), ("users", "0001_initial"))
    monkeypatch.setattr(migration_module, "MigrationLoader", lambda connection: loader)

    with pytest.raises(CommandError, match=r"0099_other in users.*makemigrations --merge"):
        call_command("release")
    assert migrated == []


def test_a_failing_system_check_is_refused_before_anything_is_migrated(migrated, monkeypatch):
    def failing(app_configs, **kwargs):
        return [checks.Error("This is wrong.", id="tests.E001")]

    registered = {*checks.registry.registry.registered_checks, failing}
    failing.tags = ()
    monkeypatch.setattr(checks.registry.registry, "registered_checks", registered)

    with pytest.raises(CommandError, match="This is wrong"):
        call_command("release")
    assert migrated == []


@pytest.fixture
def one_more(monkeypatch):
    """Return a function that gives the application `notes` one more migration."""
    load_disk = MigrationLoader.load_disk

    def add(name, **attributes):
        def with_it(loader):
            load_disk(loader)
            own = sorted(key for key in loader.disk_migrations if key[0] == "notes")
            added = Migration(name, "notes")
            added.dependencies = own[-1:]
            for attribute, value in attributes.items():
                setattr(added, attribute, value(own) if callable(value) else value)
            loader.disk_migrations[("notes", name)] = added

        monkeypatch.setattr(MigrationLoader, "load_disk", with_it)

    return add


def test_a_squashed_migration_is_recorded_where_what_it_replaces_is_applied(one_more):
    one_more("0001_squashed_all", replaces=lambda own: own, dependencies=[])
    migration_module.migrate("test1")

    with schema_context("test1"):
        applied = MigrationRecorder(connection).applied_migrations()
    assert ("notes", "0001_squashed_all") in applied


def test_a_failing_migration_is_named_in_one_line(one_more):
    one_more("0099_wrong", operations=[RunSQL("SELECT nothing FROM nowhere")])
    with capture_logs() as logs, pytest.raises(ProgrammingError), transaction.atomic():
        migration_module.migrate("test1")

    (line,) = logs
    assert (line["event"], line["schema"]) == ("migration failed", "test1")
    assert line["migration"] == "notes.0099_wrong"
    assert "nowhere" in line["reason"]


def test_handlers_of_every_application_run_after_a_migration(one_more):
    """Of those without a new migration, too: so does Django's own command."""
    told = []

    def remember(app_config, **kwargs):
        told.append(app_config.label)

    one_more("0099_empty", operations=[])
    post_migrate.connect(remember)
    try:
        migration_module.migrate("test1")
    finally:
        post_migrate.disconnect(remember)
    assert {"notes", "users"} <= set(told)


def test_an_unreachable_database_is_one_clear_message():
    ended = subprocess.run(
        [BACKEND / "bin" / "release"],
        env={**os.environ, "DATABASE_URL": "postgres://app_owner:secret@127.0.0.1:1/business"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "the database at 127.0.0.1:1 refused" in ended.stderr
    assert "./dev status" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr + ended.stdout


def test_a_release_waits_for_another_one():
    params = connection.get_connection_params()
    # Without a limit: another test process may release for long.
    params |= {"dbname": MAINTENANCE_DATABASE, "options": ""}
    with (
        psycopg.connect(**params, autocommit=True) as other,
        other.transaction(),
    ):
        # Given back when the transaction ends, also if this test fails.
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        waiting = subprocess.Popen(
            [BACKEND / "bin" / "release"],
            env={**os.environ, "DATABASE_URL": url_of_test_database()},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "waiting for another release" in waiting.stdout.readline()
    with waiting:
        assert "released" in waiting.stdout.read()
    assert waiting.returncode == 0


def test_three_releases_at_once_all_succeed():
    environment = {**os.environ, "DATABASE_URL": url_of_test_database()}
    started = [
        subprocess.Popen([BACKEND / "bin" / "release"], env=environment, stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]


def test_a_locked_table_is_given_up_and_tried_again(monkeypatch):
    """Waiting for a lock would hold up everyone who comes after, and a release has time."""
    params = connection.get_connection_params()
    with psycopg.connect(**params) as other:
        other.execute("LOCK TABLE test1.notes_note IN ACCESS SHARE MODE")
        monkeypatch.setattr(locks.time, "sleep", lambda seconds: other.rollback())
        tries = []

        def alter() -> None:
            tries.append(1)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '100ms'")
                cursor.execute("LOCK TABLE test1.notes_note IN ACCESS EXCLUSIVE MODE")

        locks.retry_locks(alter, "test1")
    assert len(tries) == 2


def url_of_test_database() -> str:
    """Return the URL of the test database, for processes the test starts."""
    place = connection.settings_dict
    password = quote(place["PASSWORD"], safe="")
    return (
        f"postgres://{place['USER']}:{password}@{place['HOST']}:{place['PORT'] or 5432}"
        f"/{place['NAME']}"
    )


@pytest.mark.parametrize(
    "name", ["public", "pg_x", "information_schema", "Test", "1st", "a-b", "", "x" * 57, "a b"]
)
def test_bad_names_are_refused_by_the_database(name):
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_by_sql(name)


def columns_and_constraints(schema: str) -> tuple[list, list]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT column_name, data_type, character_maximum_length, is_nullable, is_identity,
                      column_default
               FROM information_schema.columns
               WHERE table_schema = %s AND table_name = 'tenant_config' ORDER BY column_name""",
            [schema],
        )
        columns = cursor.fetchall()
        cursor.execute(
            """SELECT contype, regexp_replace(pg_get_constraintdef(oid), '[()]|::[a-z ]*', '', 'g')
               FROM pg_constraint
               WHERE conrelid = (%s || '.tenant_config')::regclass AND contype <> 'n'
               ORDER BY 1, 2""",
            [schema],
        )
        return columns, cursor.fetchall()


def test_the_init_script_makes_the_table_that_the_model_would_make():
    statement = re.search(
        r"CREATE TABLE public\.tenant_config .*?\n\);", INIT_SCRIPT.read_text(), re.S
    )
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA scripted")
        cursor.execute(statement[0].replace("public.tenant_config", "scripted.tenant_config"))

        # What the script's table lacks comes with later migrations.
        cursor.execute("CREATE SCHEMA first")
        cursor.execute("CREATE TABLE first.tenant_config (LIKE public.tenant_config INCLUDING ALL)")
        cursor.execute("ALTER TABLE first.tenant_config DROP COLUMN identity")

    scripted, made = columns_and_constraints("scripted"), columns_and_constraints("first")
    assert scripted[0] == made[0]
    assert len(scripted[1]) == 3
    assert scripted[1] == made[1]


def test_the_init_script_and_the_code_agree_on_names():
    script = INIT_SCRIPT.read_text()
    assert SCHEMA_NAME in script
    assert all(f"'{name}'" in script for name in RESERVED)


# --- a database that no init script has seen ----------------------------------------------


@pytest.fixture
def bare_database():
    """Make an empty database; yield its name."""
    name = "bare_" + secrets.token_hex(4)
    params = connection.get_connection_params() | {"dbname": MAINTENANCE_DATABASE}
    with psycopg.connect(**params, autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            # A session of app ends a moment after it was closed, and is not ours to terminate.
            left = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
            wait_until(lambda: not maintenance.execute(left, [name]).fetchone()[0], within=60)
            maintenance.execute(f"DROP DATABASE {name}")


def run_release(database: str, code: str = "pass") -> subprocess.CompletedProcess:
    """Run the release on another database; `code` runs before it in the same process."""
    script = (
        f"import django; django.setup(); {code}; from tenants.release import release; release()"
    )
    url = url_of_test_database().rpartition("/")[0] + f"/{database}"
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DATABASE_URL": url, "PYTHONPATH": str(BACKEND)},
        cwd=BACKEND,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def log_in(database: str, **login: str) -> psycopg.Connection:
    params = connection.get_connection_params() | {"dbname": database, **login}
    params.pop("cursor_factory"), params.pop("context", None)
    return psycopg.connect(**params, autocommit=True)


def test_a_bare_database_is_released_and_the_application_has_its_rights_there(bare_database):
    assert run_release(bare_database).returncode == 0
    with log_in(bare_database) as owner:
        owner.execute("INSERT INTO tenant_config (schema_name, name) VALUES ('test1', 'One')")
    assert run_release(bare_database).returncode == 0

    with log_in(bare_database, **APPLICATION) as app:
        assert app.execute("SELECT schema_name FROM tenant_config").fetchall() == [("test1",)]
        app.execute("SET ROLE tenant_test1")
        assert app.execute("SELECT count(*) FROM test1.users_user").fetchone() == (0,)


def test_a_release_without_the_applications_role_says_so_and_the_next_one_makes_up_for_it(
    bare_database,
):
    missing = "from tenants import provisioning; provisioning.APPLICATION_ROLE = 'no_such_role'"
    first = run_release(bare_database, missing)
    assert first.returncode == 0, first.stderr
    assert "role app is missing" in first.stdout
    with log_in(bare_database, **APPLICATION) as app, pytest.raises(psycopg.ProgrammingError):
        app.execute("SELECT schema_name FROM public.tenant_config")

    assert run_release(bare_database).returncode == 0
    with log_in(bare_database, **APPLICATION) as app:
        assert app.execute("SELECT schema_name FROM public.tenant_config").fetchall() == []


def test_a_grant_that_is_missing_is_given_although_the_migrations_are_up_to_date():
    insert_by_sql("third")
    release()
    with connection.cursor() as cursor:
        cursor.execute("REVOKE tenant_third FROM app")
    assert "third" in unprovisioned()

    release()
    assert "third" not in unprovisioned()


def test_a_schema_that_belongs_to_somebody_else_is_refused():
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA squatted")
    insert_by_sql("squatted")

    with pytest.raises(ReleaseFailed, match="squatted"):
        release()


@pytest.mark.parametrize("changed", [False, True])
def test_the_command_says_whether_models_have_changes_without_a_migration(monkeypatch, changed):
    monkeypatch.setattr(release_command, "release", lambda: None)
    if changed:
        field = IntegerField(null=True)
        field.set_attributes_from_name("shoe_size")
        field.model = User
        monkeypatch.setattr(User._meta, "local_fields", [*User._meta.local_fields, field])
    with capture_logs() as lines:
        call_command("release")
    said = "models have changes" if changed else "no model has changes"
    assert [line["event"] for line in lines] == [f"{said} without a migration"]
