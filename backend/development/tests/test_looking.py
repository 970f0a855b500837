"""The commands that show rows and addresses, for people and for ./dev mcp."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tenants.context import tenant_context
from tenants.models import Tenant
from users.models import User


def answer(capsys, *arguments: str) -> object:
    call_command(*arguments)
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def test1_as_app(as_app):
    """The tenant test1, entered with web's rights."""
    tenant = Tenant.objects.get(schema_name="test1")
    with tenant_context(tenant):
        yield tenant


def test_a_query_shows_rows_of_the_tenant(test1_as_app, capsys):
    User.objects.create(email="ann@example.com")
    found = answer(capsys, "query", "SELECT email, is_active FROM users_user")
    assert found == {
        "columns": ["email", "is_active"],
        "rows": [["ann@example.com", True]],
        "more": False,
    }


def test_a_query_has_at_most_the_rows_that_were_asked_for(test1_as_app, capsys):
    found = answer(capsys, "query", "SELECT generate_series(1, 9)", "--rows", "2")
    assert (found["rows"], found["more"]) == ([[1], [2]], True)


def test_a_value_is_shown_as_json_or_as_text(test1_as_app, capsys):
    query = """SELECT 1 AS a, 1.50 AS a, date '2026-01-31', NULL, '{"b": [1]}'::jsonb, 'é'"""
    found = answer(capsys, "query", query)
    assert found["columns"][:3] == ["a", "a", "date"]
    assert found["rows"] == [[1, 1.5, "2026-01-31", None, '{"b": [1]}', "é"]]


ANOTHER = "query_to_xml('SELECT * FROM test2.users_user', true, false, '')"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM users_user",
        "SELECT 1; DELETE FROM users_user",
        "SELECT 1; COMMIT",
        "WITH gone AS (DELETE FROM users_user RETURNING 1) SELECT * FROM gone",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT nextval('users_user_id_seq')",
        "SELECT * FROM test2.users_user",
        "SELECT pg_sleep(9)",
        "DO $$ BEGIN DELETE FROM users_user; END $$",
        # Written to leave the role: each is done before the other table is looked at.
        "RESET ROLE",
        "SELECT set_config('role', 'none', false)",
        f"SELECT set_config('role', 'tenant_test2', true), {ANOTHER}",
        f"WITH left_it AS MATERIALIZED (SELECT set_config('role', 'tenant_test2', false))"
        f" SELECT {ANOTHER} FROM left_it",
        f"SELECT query_to_xml('RESET ROLE', true, false, ''), {ANOTHER}",
        f"SELECT set_config('session_authorization', 'default', false), {ANOTHER}",
        f"SELECT {ANOTHER}",
    ],
)
def test_a_query_cannot_write_look_elsewhere_or_take_long(test1_as_app, sql):
    User.objects.create(email="ann@example.com")
    with pytest.raises(CommandError):
        call_command("query", sql, "--seconds", "0.2")
    assert User.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)


def test_a_route_names_the_place_of_its_view(capsys):
    [found] = answer(capsys, "routes", "core.health.ready")
    assert found["path"].endswith("health/")
    file, line = found["place"].split(":")
    assert file == "backend/core/health.py"
    assert int(line) > 1
