"""Each way to the database is in its tenant, and nothing of the tenant outlives its transaction.

The table "Ways to the database" of docs/tenants.md lists these ways. Logged in as web and worker
are, over one connection that stays open.
"""

import psycopg
import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import NotSupportedError, ProgrammingError, connection, models, transaction
from django.db.migrations.state import ModelState, ProjectState
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from tenants.models import Tenant
from tenants.postgresql import base
from tenants.provisioning import drop_schema, provision
from tenants.tests.conftest import owner
from tenants.tests.logins import of_a_session
from users.models import User

pytestmark = pytest.mark.usefixtures("as_app", "one_account_each")

NAME = "SELECT first_name FROM users_user"


@pytest.fixture
def in_test1():
    with schema_context("test1"):
        connection.ensure_connection()
        yield


@pytest.fixture
def through_a_pool(monkeypatch, in_test1):
    """Take the session for one of a pool, as when another process than the client's answers."""
    for name in ("ENTER", "ENTER_TENANT"):
        asked = getattr(base, name).replace("pg_backend_pid()", "0")
        monkeypatch.setattr(base, name, asked)


def session() -> tuple[str, str, str]:
    """Return what the session is in, asked past Django and its cursors."""
    [(role, setting, path)] = psycopg.ClientCursor(connection.connection).execute(
        "SELECT current_user::text, current_setting('role'), current_setting('search_path')"
    )
    return role, setting, path


OF_NO_TENANT = ("app", "none", '"$user", public')


def names(cursor) -> list[str]:
    return [name for (name,) in cursor.fetchall()]


# --- ways ---------------------------------------------------------------------------------


def autocommit():
    with connection.cursor() as cursor:
        cursor.execute(NAME)
        return names(cursor)


def with_parameters():
    with connection.cursor() as cursor:
        cursor.execute(NAME + " WHERE id = %s AND email LIKE 'ann%%'", [1])
        return names(cursor)


def atomic():
    with transaction.atomic():
        return autocommit()


def rolled_back():
    with transaction.atomic():
        found = autocommit()
        transaction.set_rollback(True)
    return found


def savepoint():
    with transaction.atomic(), transaction.atomic():
        return autocommit()


def manual_transaction():
    transaction.set_autocommit(False)
    try:
        found = autocommit()
        transaction.commit()
        return found + autocommit()[1:]
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def raw_transaction():
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(NAME)
        found = names(cursor)
        cursor.execute("COMMIT")
        return found


def locked_for_update():
    with transaction.atomic():
        return [user.first_name for user in User.objects.select_for_update()]


def server_side_cursor():
    return [user.first_name for user in User.objects.iterator(chunk_size=1)]


def server_side_cursor_in_a_transaction():
    with transaction.atomic():
        return server_side_cursor()


def copied_out():
    with connection.cursor() as cursor, cursor.copy(f"COPY ({NAME}) TO STDOUT") as rows:
        return [row for (row,) in rows.rows()]


def copied_out_in_a_transaction():
    with transaction.atomic():
        return copied_out()


def cursor_of_the_driver():
    with connection.connection.cursor() as cursor:
        return names(cursor.execute(NAME))


def connection_of_the_driver():
    return names(connection.connection.execute(NAME))


def transaction_of_the_driver():
    autocommit()
    with connection.connection.transaction():
        return cursor_of_the_driver()


def streamed_by_the_driver():
    with connection.connection.cursor() as cursor:
        return [name for (name,) in cursor.stream(NAME)]


def pipeline_in_a_transaction():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        with connection.connection.pipeline():
            cursor.execute(NAME)
            return names(cursor)


def many():
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE users_user SET last_name = %s", [["a"], ["b"]])
    return list(User.objects.filter(last_name="b").values_list("first_name", flat=True))


def many_in_a_transaction():
    with transaction.atomic():
        return many()


def after_a_commit():
    found = []
    with transaction.atomic():
        transaction.on_commit(lambda: found.extend(autocommit()))
    return found


def after_a_session():
    with connection.cursor() as cursor:
        cursor.execute("VACUUM users_user")
    return autocommit()


def after_another_level():
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        return autocommit()


def introspection():
    tables = set(connection.introspection.table_names())
    return autocommit() if "users_user" in tables and "tenant_config" not in tables else tables


WAYS = [
    *(autocommit, with_parameters, atomic, rolled_back, savepoint, manual_transaction),
    *(raw_transaction, locked_for_update, server_side_cursor, server_side_cursor_in_a_transaction),
    *(copied_out, copied_out_in_a_transaction, cursor_of_the_driver, connection_of_the_driver),
    *(transaction_of_the_driver, streamed_by_the_driver, pipeline_in_a_transaction),
    *(many, many_in_a_transaction, after_a_commit, after_another_level, introspection),
]


@pytest.mark.parametrize("way", [*WAYS, pytest.param(after_a_session, marks=of_a_session)])
def test_each_way_is_in_the_tenant_and_leaves_the_session(in_test1, way):
    assert way() == ["test1"]
    assert session() == OF_NO_TENANT
    with schema_context("test2"):
        assert autocommit() == ["test2"]
    assert session() == OF_NO_TENANT


@pytest.mark.parametrize("way", WAYS)
def test_through_a_pool_each_way_is_in_the_tenant_and_finds_nothing_of_another(through_a_pool, way):
    autocommit()
    psycopg.ClientCursor(connection.connection).execute(  # another client's, in that session
        "SET ROLE tenant_test2; SET search_path = test2; PREPARE kept AS SELECT 1;"
        "CREATE TEMP TABLE users_user AS SELECT * FROM test2.users_user;"
        "GRANT ALL ON users_user TO PUBLIC; DECLARE kept CURSOR WITH HOLD FOR SELECT 1"
    )
    assert way() == ["test1"]


@pytest.mark.parametrize(
    "way",
    [
        lambda cursor: cursor.execute("SELECT 1/0"),
        lambda cursor: cursor.execute(NAME + " WHERE nothing"),
        lambda cursor: cursor.executemany("SELECT 1/%s", [[0]]),
        lambda cursor: cursor.copy("COPY (SELECT 1/0) TO STDOUT").__enter__().read(),
        lambda cursor: list(cursor.stream("SELECT 1/0")),
        pytest.param(
            lambda cursor: cursor.execute("CREATE INDEX CONCURRENTLY ON users_user (nothing)"),
            marks=of_a_session,
        ),
    ],
)
@pytest.mark.parametrize("atomically", [True, False])
def test_a_statement_that_fails_leaves_the_session(in_test1, way, atomically):
    if atomically:
        transaction.set_autocommit(False)
    with connection.connection.cursor() as cursor, pytest.raises(psycopg.Error):
        way(cursor)
    transaction.rollback()
    transaction.set_autocommit(True)
    assert session() == OF_NO_TENANT
    assert autocommit() == ["test1"]


# --- messages -----------------------------------------------------------------------------


def messages(path, work) -> list[str]:
    """Return the messages to the server that `work` takes."""
    with path.open("w+") as file:
        connection.connection.pgconn.trace(file.fileno())
        work()
        connection.connection.pgconn.untrace()
        file.seek(0)
        return [line for line in file if line.split("\t")[1:2] == ["F"]]


@pytest.mark.parametrize(
    ("way", "count"), [(autocommit, 1), (atomic, 2), (savepoint, 4), (raw_transaction, 3)]
)
def test_the_tenant_costs_no_message(in_test1, tmp_path, way, count):
    autocommit()
    assert len(messages(tmp_path / "messages", way)) == count


def test_the_first_of_several_results_is_the_statements_own(in_test1):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT 2")
        assert cursor.fetchall() == [(1,)]
        assert cursor.nextset()
        assert cursor.fetchall() == [(2,)]
        cursor.execute("")
        cursor.execute("-- nothing")


def test_logged_queries_are_as_they_were_written(in_test1):
    with CaptureQueriesContext(connection) as captured:
        autocommit()
        with transaction.atomic():
            autocommit()
    assert [query["sql"] for query in captured if "SELECT" in query["sql"]] == [NAME] * 2


# --- what needs no transaction --------------------------------------------------------------


@of_a_session
def test_a_migration_outside_a_transaction_is_in_the_tenant(in_test1):
    before = ProjectState()
    before.add_model(
        ModelState(
            "users",
            "Account",
            [("id", models.AutoField(primary_key=True)), ("last_name", models.TextField())],
            {"db_table": "users_user"},
        )
    )
    operation = AddIndexConcurrently(
        "Account", models.Index(fields=["last_name"], name="made_concurrently")
    )
    after = before.clone()
    operation.state_forwards("users", after)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("users", editor, before, after)
    with connection.cursor() as cursor:
        cursor.execute("SELECT schemaname FROM pg_indexes WHERE indexname = 'made_concurrently'")
        assert cursor.fetchall() == [("test1",)]
    assert session() == OF_NO_TENANT
    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("users", editor, after, before)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("VACUUM users_user", "cannot run in a transaction cannot be sent through a pool"),
        ("CREATE INDEX CONCURRENTLY ON users_user (email)", "connect to the database itself"),
        ("LISTEN news", "LISTEN lasts as long as a session"),
        ("SET statement_timeout = '1h'", "SET lasts as long as a session"),
        ("PREPARE mine AS SELECT 1", "PREPARE lasts as long as a session"),
        ("DECLARE mine CURSOR WITH HOLD FOR SELECT 1", "DECLARE CURSOR lasts as long"),
    ],
)
def test_what_needs_a_session_is_refused_through_a_pool(through_a_pool, statement, message):
    with connection.cursor() as cursor, pytest.raises(NotSupportedError, match=message):
        cursor.execute(statement)
    assert autocommit() == ["test1"]


def test_through_a_pool_no_transaction_listens_for_the_next_one_of_its_session(through_a_pool):
    with (
        pytest.raises(NotSupportedError, match="LISTEN lasts as long as a session"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("LISTEN news")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_listening_channels()")
        assert cursor.fetchall() == []


def test_a_pipeline_that_begins_outside_a_transaction_is_refused(in_test1):
    with (
        connection.connection.pipeline(),
        connection.cursor() as cursor,
        pytest.raises(NotSupportedError, match="a pipeline cannot begin outside a transaction"),
    ):
        cursor.execute(NAME)
    assert autocommit() == ["test1"]


@of_a_session
def test_a_channel_is_listened_to_by_the_session(in_test1):
    with connection.cursor() as cursor:
        cursor.execute("LISTEN news")
        cursor.execute("NOTIFY news, 'hello'")
    [note] = connection.connection.notifies(timeout=30, stop_after=1)
    assert note.payload == "hello"


# --- through a pool -------------------------------------------------------------------------


def test_through_a_pool_each_transaction_has_the_limits_of_the_process(through_a_pool):
    shown = "SELECT current_setting('lock_timeout'), current_setting('TimeZone')"
    autocommit()
    psycopg.ClientCursor(connection.connection).execute(
        "SET lock_timeout = '1h'; SET TimeZone = 'Asia/Tokyo'"
    )
    options = connection.settings_dict["OPTIONS"]
    before, options["options"] = options["options"], "-c lock_timeout=3s -c statement_timeout=4s"
    try:
        with connection.cursor() as cursor:
            cursor.execute(shown)
            assert cursor.fetchall() == [("3s", "UTC")]
    finally:
        options["options"] = before


def test_through_a_pool_what_a_transaction_sets_lasts_as_long_as_it_does(through_a_pool):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '7s'")
        cursor.execute("CREATE TEMP TABLE mine AS SELECT 1")
        cursor.execute("SELECT current_setting('lock_timeout') FROM mine")
        assert cursor.fetchall() == [("7s",)]
        assert autocommit() == ["test1"]


def test_through_a_pool_rows_are_read_without_a_held_cursor(through_a_pool, tmp_path):
    autocommit()
    sent = messages(tmp_path / "messages", server_side_cursor)
    assert not any("DECLARE" in message for message in sent)


# --- identity -------------------------------------------------------------------------------


def test_what_outlives_its_tenant_does_not_write_into_the_next_of_its_name(alone):
    """A task may run for minutes. The role's name is the same; its oid is not."""

    def replace():
        drop_schema(tenant)
        provision(tenant)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE remade.kept (id int)")
            cursor.execute("ALTER TABLE remade.kept OWNER TO tenant_remade")

    task = connection.copy()
    application = {key.upper(): task.settings_dict[key.upper()] for key in owner()}
    connection.close()
    connection.settings_dict.update({key.upper(): value for key, value in owner().items()})
    tenant = Tenant.objects.create(schema_name="remade", name="Remade")
    provision(tenant)
    try:
        task.set_schema("remade")
        with task.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchall() == [("tenant_remade",)]
            replace()
            with pytest.raises(Exception, match="does not exist"):
                cursor.execute("INSERT INTO kept VALUES (1)")
    finally:
        task.close()
        drop_schema(tenant)
        connection.close()
        connection.settings_dict.update(application)


def test_raw_sql_does_not_keep_another_role_beyond_its_statement(in_test1):
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('role', 'tenant_test2', false)")
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute("SELECT * FROM test2.users_user")
