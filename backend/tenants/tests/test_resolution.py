"""Which tenant a request is for."""

import pytest

from tenants.models import Domain, Tenant

pytestmark = pytest.mark.django_db


def site(client, host, **headers):
    """Return the schema that answered, or the status when none did."""
    response = client.get("/", headers={"host": host, **headers})
    return response.context["schema"] if response.status_code == 200 else response.status_code


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("test1.localhost:8000", "test1"),
        ("test2.localhost:8000", "test2"),
        ("TEST2.localhost", "test2"),
        ("test2.localhost.", "test2"),
        ("localhost:8000", "test1"),
        ("127.0.0.1:8000", "test1"),
        ("[::1]:8000", "test1"),
        ("web:8000", "test1"),
        ("name-8000.app.github.dev", "test1"),
        ("www.localhost", "test1"),
        ("public.localhost:8000", "public"),
        ("nosuch.localhost", 404),
        ("a.test1.localhost", 404),
    ],
)
def test_the_host_chooses(client, host, expected):
    assert site(client, host) == expected


@pytest.mark.parametrize("host", ["localhost", "test1.localhost", "public.localhost"])
def test_the_header_is_stronger_than_the_host(client, host):
    assert site(client, host, x_tenant="test2") == "test2"


@pytest.mark.parametrize(
    "name",
    ["nosuch", "public", "pg_catalog", "TEST1", 'test1"; drop', "test1,test2", "é", "x" * 99],
)
def test_a_header_that_names_no_tenant_is_answered_404(client, name):
    assert site(client, "localhost", x_tenant=name) == 404


def test_the_header_counts_only_where_the_contract_allows_it(client, settings):
    settings.TENANT_HEADER = False
    assert site(client, "test1.localhost", x_tenant="test2") == "test1"


def test_an_unknown_host_has_no_tenant_where_there_is_no_default(client, settings):
    settings.TENANT_DEFAULT = None
    assert site(client, "localhost") == 404


def test_a_domain_row_chooses(client, settings):
    settings.ALLOWED_HOSTS = ["shop.example.com"]
    Domain.objects.create(domain="shop.example.com", tenant=Tenant.objects.get(schema_name="test2"))
    assert site(client, "shop.example.com") == "test2"


def test_an_unknown_tenant_is_answered_with_a_problem_document(client):
    response = client.get("/", headers={"host": "nosuch.localhost"})

    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == 404
    assert "nosuch" in response.json()["detail"]


def test_a_suspended_tenant_is_answered_403(client):
    Tenant.objects.filter(schema_name="test2").update(is_active=False)
    response = client.get("/", headers={"host": "test2.localhost"})

    assert response.status_code == 403
    assert "suspended" in response.json()["detail"]


def test_a_host_outside_the_allowed_ones_is_refused(client):
    assert site(client, "evil.example.com") == 400


def test_answers_vary_by_the_header(client):
    assert "X-Tenant" in client.get("/", headers={"host": "localhost"})["Vary"]


def test_a_tenant_is_looked_up_once_for_many_requests(client, django_assert_num_queries):
    site(client, "test1.localhost")
    with django_assert_num_queries(0):
        site(client, "test1.localhost")


def test_unknown_names_are_not_remembered(client):
    assert site(client, "third.localhost") == 404
    Tenant.objects.create(schema_name="third", name="Third")
    assert site(client, "third.localhost") == "third"
