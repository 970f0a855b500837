"""A product with a single tenant: one schema at every host, and the same isolation below."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from tenants import command_line
from tenants.models import Tenant
from tenants.services import create_tenant, list_tenants
from users.models import User

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"


@pytest.fixture
def single(settings) -> str:
    settings.SINGLE_TENANT = "test2"
    return "test2"


@pytest.mark.parametrize("host", ["localhost", "test1.localhost", "nosuch.localhost", "127.0.0.1"])
def test_every_host_is_its(client, single, host):
    answer = client.get("/", headers={"host": host, "x-tenant": "test1"})
    assert answer.context["schema"] == single
    assert "X-Tenant" not in answer.get("Vary", "")


def test_nothing_is_the_operators_or_can_be_chosen(client, single, settings):
    answer = client.get("/", headers={"host": settings.OPERATIONS_HOST})
    assert answer.context["schema"] == single
    assert client.get("/choose-tenant/").status_code == 404
    client.cookies["tenant"] = "public"
    assert client.get("/").context["schema"] == single


def test_a_host_outside_the_allowed_ones_is_refused_all_the_same(client, single):
    assert client.get("/", headers={"host": "evil.example.com"}).status_code == 400


def test_accounts_are_those_of_its_schema_with_its_role(client, single, django_user_model):
    connection.set_schema(single)
    django_user_model.objects.create_superuser("root@example.com", PASSWORD)
    assert client.login(username="root@example.com", password=PASSWORD)
    assert client.get("/admin/users/user/").status_code == 200
    assert connection.schema_name == "public", "left at the end of the request"
    connection.set_schema("test1")
    assert not User.objects.exists()


def test_a_suspended_one_answers_403(client, single):
    Tenant.objects.filter(schema_name=single).update(is_active=False)
    assert client.get("/").status_code == 403


def test_commands_run_in_it_without_being_told(single, monkeypatch):
    ran = []
    monkeypatch.setattr(
        command_line,
        "execute_from_command_line",
        lambda arguments: ran.append((arguments[1], connection.schema_name)),
    )
    command_line.run(["manage.py", "createsuperuser"])
    connection.set_schema_to_public()
    command_line.run(["manage.py", "check"])
    assert ran == [("createsuperuser", single), ("check", "public")]


def test_the_list_shows_where_it_answers(single, settings):
    hosts = {tenant.name: tenant.domains for tenant in list_tenants()}
    assert hosts == {"test1": (), single: (settings.TENANT_BASE_DOMAIN,)}


def test_no_other_is_made(single):
    with pytest.raises(ValidationError, match="SINGLE_TENANT=test2"):
        create_tenant("third")
