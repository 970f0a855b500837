"""A management command works in the tenant it is given, and says so when it needs one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import schema_context

from core.settings import base
from development.remedies import REMEDIES
from tenants.command_line import REPLACED, TENANT_FREE, TENANT_OPTIONAL, run
from tenants.migration import migrate, migrations_on_disk
from tenants.tests.test_release import url_of_test_database
from users.models import User
from users.tasks import remove_expired_log_ins

BACKEND = Path(__file__).parents[2]


@pytest.fixture
def manage(as_app):
    """Return a function that runs manage.py like web, on the test database."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BACKEND,
            env={**os.environ, "DATABASE_URL": url_of_test_database(), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


WHERE = (
    "from django.db import connection as c; k = c.cursor();"
    "k.execute('SELECT current_user'); print('role', k.fetchone()[0])"
)


@pytest.mark.parametrize(
    "command", ["createsuperuser", "changepassword", "dumpdata", "dbshell", "flush", "sqlmigrate"]
)
def test_a_command_that_needs_a_tenant_says_so(manage, command):
    ended = manage(command)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{command} needs a tenant, and was given none.")
    assert "--tenant NAME" in ended.stderr


def test_a_misspelt_command_is_told_the_one_that_was_meant(manage):
    ended = manage("mirgate")
    assert ended.returncode == 1
    assert "Unknown command: 'mirgate'. Did you mean migrate?" in ended.stderr


def test_a_command_that_knows_no_roles_names_what_runs_in_its_place(capsys):
    for command, replacement in REPLACED.items():
        with pytest.raises(SystemExit) as ended:
            run(["manage.py", command])
        use = replacement.format_map(REMEDIES)
        assert ended.value.code == f"{command} is not used here. Use: {use}"


@pytest.mark.parametrize("command", sorted(REPLACED))
def test_production_names_no_command_of_a_checkout(settings, command):
    settings.REMEDIES = base.REMEDIES
    with pytest.raises(SystemExit) as ended:
        run(["manage.py", command])
    assert "./dev" not in ended.value.code


def test_production_has_words_for_every_remedy():
    assert base.REMEDIES.keys() == REMEDIES.keys()


def test_every_command_with_a_rule_is_there():
    """A rule for a command that a library has renamed or dropped protects nothing."""
    there = {*get_commands(), "help", "version"}
    assert not {*REPLACED, *TENANT_FREE, *TENANT_OPTIONAL} - there


@pytest.mark.parametrize("command", ["drop_tenant", "makemigrations", "release", "runserver"])
def test_a_command_for_all_tenants_takes_none(command):
    with pytest.raises(SystemExit, match=f"{command} takes no --tenant"):
        run(["manage.py", command, "--tenant", "test1"])


@pytest.mark.parametrize("command", ["migrate", "showmigrations"])
def test_migrations_of_one_tenant_are_those_of_that_alone(manage, command):
    ended = manage(command, "--plan", "--tenant", "test1")
    assert ended.returncode == 0, ended.stderr
    assert "test2" not in ended.stdout


def test_sqlmigrate_prints_the_statements_of_a_tenant(manage):
    ended = manage("sqlmigrate", "users", "0001", "--tenant", "test1")
    assert 'CREATE TABLE "users_user"' in ended.stdout, ended.stderr
    assert "(no-op)" not in ended.stdout


PSQL = """#!/bin/sh
export PGUSER="$2" PGHOST="$4" PGPORT="$6" PGDATABASE="$7"
exec "$PYTHON" -c "
import psycopg
ask = 'SELECT current_user, setting FROM pg_settings WHERE name = %s'
row = psycopg.connect().execute(ask, ['search_path']).fetchone()
print('|'.join(row))"
"""


@pytest.mark.parametrize(("tenant", "role"), [("test1", "tenant_test1"), ("test2", "tenant_test2")])
def test_dbshell_is_in_the_tenant_and_in_its_role(manage, tmp_path, tenant, role):
    """The program that it starts is a stand-in, which connects by libpq, like psql."""
    psql = tmp_path / "psql"
    psql.write_text(PSQL)
    psql.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    ended = manage("dbshell", "--tenant", tenant, PATH=path, PYTHON=sys.executable)

    assert ended.stdout == f"{role}|{tenant},extensions\n", ended.stderr


def test_a_shell_without_a_tenant_starts_and_says_so(manage):
    ended = manage("shell", "--command", WHERE)
    assert "role app\n" in ended.stdout
    assert "in no tenant" in ended.stderr


@pytest.mark.parametrize("option", [["--tenant", "test2"], ["--tenant=test2"]])
def test_a_command_runs_in_the_tenant_it_is_given(manage, option):
    assert "role tenant_test2" in manage("shell", "--command", WHERE, *option).stdout


def test_public_means_the_operators(manage):
    ended = manage("shell", "--command", WHERE, "--tenant", "public")
    assert "role tenant_public" in ended.stdout


def test_an_account_is_made_in_the_tenant_that_was_given_and_nowhere_else(manage):
    ended = manage(
        *("createsuperuser", "--noinput", "--email", "ann@example.com", "--tenant", "test2"),
        DJANGO_SUPERUSER_PASSWORD="correct horse battery staple",
    )
    assert ended.returncode == 0, ended.stderr
    with schema_context("test2"):
        assert User.objects.get().email == "ann@example.com"
    with schema_context("test1"):
        assert not User.objects.exists()


@pytest.mark.parametrize("name", ["nosuch", "TEST1", 'test1"'])
def test_an_unknown_tenant_is_answered_with_those_there_are(manage, name):
    ended = manage("shell", "--tenant", name)
    assert ended.returncode == 1
    assert "there is no tenant" in ended.stderr
    assert "test1, test2" in ended.stderr


@pytest.mark.parametrize("command", [["check"], ["list_tenants"], ["shell", "--help"], ["help"]])
def test_a_command_that_needs_no_tenant_runs_without(manage, command):
    ended = manage(*command)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("arguments", [("list_tenants",), ("changepassword", "--tenant", "test1")])
def test_a_database_that_is_down_is_one_clear_message(manage, arguments):
    nowhere = "postgres://app_owner:secret@127.0.0.1:1/homeport"
    ended = manage(*arguments, DATABASE_URL=nowhere)

    assert ended.returncode == 1
    assert "Does the database run, with free disk space?" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr


@pytest.mark.parametrize("command", ["list_tenants", "release"])
def test_another_password_in_the_database_is_named_with_what_sets_it(manage, command):
    url = re.sub(r"//(\w+)[^@]*@", r"//\1:another@", url_of_test_database())
    ended = manage(command, DATABASE_URL=url, APP_OWNER_PASSWORD="another")

    assert ended.returncode == 1
    assert ended.stderr.endswith("has a different password for it; run: ./dev restart db\n")
    assert "Traceback" not in ended.stderr


def test_code_of_another_user_is_one_clear_message(monkeypatch):
    def write(arguments):
        raise PermissionError(13, "Permission denied", "0002_trial.py")

    monkeypatch.setattr("tenants.command_line.execute_from_command_line", write)
    with pytest.raises(SystemExit) as ended:
        run(["manage.py", "squashmigrations", "users", "0002"])
    what, remedy = str(ended.value).splitlines()
    assert what.startswith("squashmigrations: 0002_trial.py cannot be written as this user")
    assert "on your machine: ./dev manage COMMAND" in remedy


def test_startapp_in_code_of_another_user_names_what_runs_it(monkeypatch, capsys):
    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.makedirs", refuse)
    with pytest.raises(SystemExit) as ended:
        run(["manage.py", "startapp", "gadgets"])
    assert "Permission denied" in capsys.readouterr().err
    assert str(ended.value) == f"Run it {settings.REMEDIES['code']}"


SQUASHED = """
from importlib import import_module
from django.db import migrations
NAMES = {names}
PARTS = [import_module("users.migrations." + name).Migration for name in NAMES]
class Migration(migrations.Migration):
    dependencies = PARTS[0].dependencies
    operations = [operation for part in PARTS for operation in part.operations]
    {replaces}
"""


@pytest.mark.django_db
def test_a_squash_that_was_not_migrated_in_time_is_told_and_the_remedy_works(
    monkeypatch, settings, tmp_path
):
    names = sorted(name for app, name in migrations_on_disk() if app == "users")
    squashed = f"0001_initial_squashed_{names[-1]}"
    replaces = [("users", name) for name in names]
    for package, line in {"final": "", "restored": f"replaces = {replaces}"}.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        code = SQUASHED.format(names=names, replaces=line)
        (tmp_path / package / f"{squashed}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(connections, "close_all", lambda: None)  # keep the test's transaction

    settings.MIGRATION_MODULES = {"users": "final"}
    command = ["manage.py", "makemigrations", "users", "--check", "--dry-run"]
    with pytest.raises(SystemExit) as ended:
        run(command)
    what, remedy = str(ended.value).splitlines()
    assert f"is applied before its dependency users.{squashed}" in what
    assert "Restore that line, run: ./dev migrate; then delete the line again." in remedy

    settings.MIGRATION_MODULES = {"users": "restored"}
    migrate("public")
    settings.MIGRATION_MODULES = {"users": "final"}
    run(command)


@pytest.mark.django_db
def test_an_applied_migration_with_a_new_dependency_is_one_clear_message():
    MigrationRecorder(connection).record_unapplied("users", "0001_initial")
    with pytest.raises(SystemExit) as ended:
        run(["manage.py", "makemigrations", "--check", "--dry-run"])
    what, remedy = str(ended.value).splitlines()
    assert "is applied before its dependency users.0001_initial" in what
    assert remedy == "Restore the dependencies that the migration had when it was applied."


def test_a_database_that_is_not_released_is_one_clear_message(manage):
    url = url_of_test_database().rpartition("/")[0] + "/postgres"
    ended = manage("list_tenants", DATABASE_URL=url)

    assert ended.returncode == 1
    assert "./dev migrate" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_expired_log_ins_are_removed_with_the_rights_of_the_application(as_app):
    """Those of the operators need their role."""
    assert remove_expired_log_ins.apply().get() == 0
