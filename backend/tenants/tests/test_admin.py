"""Tenants are managed on the operators' host and nowhere else."""

import pytest
from django_tenants.utils import schema_context

from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_cache")]

PASSWORD = "correct horse battery staple"


@pytest.fixture
def log_in(client):
    """Return a function that logs a superuser in at a host, through the form."""

    def at(host, schema):
        with schema_context(schema):
            User.objects.create_superuser("root@example.com", PASSWORD)
        client.defaults["HTTP_HOST"] = host
        response = client.post(
            "/admin/login/?next=/admin/", {"username": "root@example.com", "password": PASSWORD}
        )
        assert response.status_code == 302, "the log-in was refused"
        return client

    return at


def test_operators_see_both_tenants(log_in):
    page = log_in("public.localhost", "public").get("/admin/tenants/tenant/").content.decode()

    assert "test1" in page
    assert "test2" in page


def test_an_operator_adds_a_tenant_and_cannot_delete_one(log_in):
    client = log_in("public.localhost", "public")
    form = {"schema_name": "third", "name": "Third", "is_active": "on"}
    management = {"domains-TOTAL_FORMS": 0, "domains-INITIAL_FORMS": 0}

    assert client.post("/admin/tenants/tenant/add/", form | management).status_code == 302
    page = client.get("/admin/tenants/tenant/").content.decode()
    assert "third" in page
    assert "Delete selected" not in page


def test_an_impossible_name_is_explained(log_in):
    form = {
        "schema_name": "pg_x",
        "name": "X",
        "domains-TOTAL_FORMS": 0,
        "domains-INITIAL_FORMS": 0,
    }
    client = log_in("public.localhost", "public")
    page = client.post("/admin/tenants/tenant/add/", form).content.decode()
    assert "does not begin with pg_" in page


def test_a_tenants_admin_shows_its_users_and_no_tenants(log_in):
    client = log_in("test1.localhost", "test1")

    assert "users/user" in client.get("/admin/").content.decode()
    assert "tenants/tenant" not in client.get("/admin/").content.decode()
    assert client.get("/admin/tenants/tenant/").status_code == 403


def test_a_session_of_one_tenant_is_worth_nothing_at_another(log_in):
    client = log_in("test1.localhost", "test1")
    client.defaults["HTTP_HOST"] = "test2.localhost"
    response = client.get("/admin/")

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")
