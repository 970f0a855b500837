"""The database itself refuses what is not the tenant's own."""

import pytest
from django.core.cache import cache
from django.db import ProgrammingError, connection, transaction
from django_tenants.utils import schema_context

from users.models import User

pytestmark = pytest.mark.django_db


def test_rows_of_one_tenant_do_not_exist_for_the_other():
    with schema_context("test1"):
        User.objects.create_user("ann@example.com")
    with schema_context("test2"):
        assert not User.objects.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM test2.users_user",
        "INSERT INTO test2.users_user (email) VALUES ('x')",
        "DELETE FROM test2.users_user",
        "DROP SCHEMA test2 CASCADE",
        "SELECT * FROM public.tenant_config",
        "CREATE TABLE public.mine (id int)",
    ],
)
def test_raw_sql_against_another_schema_is_refused(statement, test1):
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def current_role() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return cursor.fetchone()[0]


def test_the_role_follows_the_tenant():
    with schema_context("test1"):
        assert current_role() == "tenant_test1"
        with schema_context("test2"):
            assert current_role() == "tenant_test2"
        assert current_role() == "tenant_test1"
    assert current_role() == connection.settings_dict["USER"]


def test_a_savepoint_that_rolls_back_does_not_carry_the_tenant_over():
    with schema_context("test1"):
        assert current_role() == "tenant_test1"
        savepoint = transaction.savepoint()
        connection.set_schema("test2")
        assert current_role() == "tenant_test2"
        transaction.savepoint_rollback(savepoint)
        assert current_role() == "tenant_test2"


@pytest.mark.usefixtures("empty_cache")
def test_cache_entries_do_not_cross():
    with schema_context("test1"):
        cache.set("cart", "ann's")
    with schema_context("test2"):
        assert cache.get("cart") is None
