"""Which tenant a request is for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from core.tests.test_env import PRODUCTION
from tenants import resolution
from tenants.models import Domain, Tenant
from tenants.resolution import HEADER

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


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("my-branch.localhost:8001", "test1"),
        ("shop-my-branch.localhost", "test1"),
        ("test2.my-branch.localhost:8001", "test2"),
        ("public.my-branch.localhost", "public"),
        ("test2.localhost", "test2"),
        ("nosuch.my-branch.localhost", 404),
        ("test2.another.localhost", 404),
        ("y-branch.localhost", 404),
    ],
)
def test_the_name_of_the_stack_in_a_host_tells_checkouts_apart(client, settings, host, expected):
    settings.STACK_NAME = "shop-my_branch"
    assert site(client, host) == expected


def test_a_tenant_with_the_name_of_the_stack_comes_first(client, settings):
    settings.STACK_NAME = "shop-test2"
    assert site(client, "test2.localhost") == "test2"
    assert site(client, "test1.test2.localhost") == "test1"


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


@pytest.mark.parametrize("host", ["shop-eu.localhost", "a.b.localhost"])
def test_a_domain_below_the_base_domain_chooses(client, host):
    Domain.objects.create(domain=host, tenant=Tenant.objects.get(schema_name="test2"))
    assert client.get("/", headers={"host": host}).context["schema"] == "test2"


def test_a_domain_row_chooses(client, settings):
    settings.ALLOWED_HOSTS = ["shop.example.com"]
    Domain.objects.create(domain="shop.example.com", tenant=Tenant.objects.get(schema_name="test2"))
    assert site(client, "shop.example.com") == "test2"


def test_a_name_with_underscores_has_hyphens_in_its_host(client):
    Tenant.objects.create(schema_name="my_shop", name="My Shop")
    assert site(client, "my-shop.localhost") == "my_shop"


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


@pytest.mark.parametrize("host", ["localhost", "nosuch.localhost", "test2.localhost"])
def test_answers_vary_by_header_and_cookie(client, host):
    Tenant.objects.filter(schema_name="test2").update(is_active=False)
    assert {"X-Tenant", "Cookie"} <= set(
        client.get("/", headers={"host": host})["Vary"].split(", ")
    )


def test_where_only_hosts_choose_answers_do_not_vary_by_the_header(client, settings):
    settings.TENANT_HEADER = False
    answer = client.get("/", headers={"host": "test1.localhost"})
    assert "X-Tenant" not in answer.get("Vary", "")


def test_a_tenant_is_looked_up_once_for_many_requests(client, django_assert_num_queries):
    site(client, "test1.localhost")
    with django_assert_num_queries(0):
        site(client, "test1.localhost")


def test_a_host_without_a_domain_is_looked_up_once(client, settings, django_assert_num_queries):
    settings.TENANT_DEFAULT = "test1"
    site(client, "localhost")
    with django_assert_num_queries(0):
        assert site(client, "localhost") == "test1"


def test_any_number_of_unknown_hosts_takes_little_memory(client, monkeypatch):
    monkeypatch.setattr(resolution, "_MOST", 3)
    for number in range(10):
        site(client, f"unknown{number}.localhost")
    assert len(resolution._remembered) <= 3


def test_unknown_names_are_not_remembered(client):
    assert site(client, "third.localhost") == 404
    Tenant.objects.create(schema_name="third", name="Third")
    assert site(client, "third.localhost") == "third"


# --- forwarded hosts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_host": "test2.localhost"},
        {"forwarded": "host=test2.localhost"},
        {"x_original_host": "test2.localhost"},
        {"x_forwarded_server": "test2.localhost"},
    ],
)
@pytest.mark.parametrize("host", ["localhost", "test1.localhost", "127.0.0.1"])
def test_a_forwarded_host_chooses_nothing(client, host, headers):
    assert site(client, host, **headers) == "test1"


def test_production_hears_neither_forwarded_hosts_nor_header_nor_cookie():
    script = (
        "from django.conf import settings as s;"
        "print(s.USE_X_FORWARDED_HOST, s.TENANT_HEADER, s.TENANT_DEFAULT)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], **PRODUCTION},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split() == ["False", "False", "None"], ended.stderr


# --- the cookie ---------------------------------------------------------------------------

CODESPACES = "name-8000.app.github.dev"


def chosen(client, tenant):
    client.cookies[settings.TENANT_COOKIE_NAME] = tenant
    return client


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", CODESPACES])
def test_the_cookie_chooses_where_the_host_does_not(client, host):
    assert site(chosen(client, "test2"), host) == "test2"
    assert site(chosen(client, "public"), host) == "public"


def test_host_and_header_are_stronger_than_the_cookie(client):
    assert site(chosen(client, "test2"), "test1.localhost") == "test1"
    assert site(client, "localhost", x_tenant="test1") == "test1"


@pytest.mark.parametrize("name", ["nosuch", "TEST2", "test2;x", "", "pg_x"])
def test_a_stale_cookie_is_no_choice(client, name):
    assert site(chosen(client, name), "localhost") == "test1"


def test_the_cookie_of_a_suspended_tenant_is_no_choice(client):
    Tenant.objects.filter(schema_name="test2").update(is_active=False)
    assert site(chosen(client, "test2"), "localhost") == "test1"


def test_the_cookie_counts_only_where_the_contract_allows_it(client, settings):
    settings.TENANT_HEADER = False
    assert site(chosen(client, "test2"), "localhost") == "test1"


def test_a_browser_without_subdomains_chooses_a_tenant_and_reaches_its_admin(client):
    page = client.get("/choose-tenant/?next=/admin/", headers={"host": CODESPACES})
    assert [place.schema_name for place in page.context["places"]] == ["test1", "test2", "public"]

    answer = client.post(
        "/choose-tenant/", {"tenant": "test2", "next": "/admin/"}, headers={"host": CODESPACES}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert answer.cookies[settings.TENANT_COOKIE_NAME]["httponly"]
    assert site(client, CODESPACES) == "test2"


def test_a_choice_needs_the_forms_token():
    client = Client(enforce_csrf_checks=True, headers={"host": "localhost"})
    assert client.post("/choose-tenant/", {"tenant": "test2"}).status_code == 403


@pytest.mark.parametrize("tenant", ["nosuch", "", "pg_x"])
def test_what_is_not_offered_cannot_be_chosen(client, tenant):
    headers = {"host": "localhost"}
    assert client.post("/choose-tenant/", {"tenant": tenant}, headers=headers).status_code == 404


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "javascript:x", ""])
def test_a_choice_does_not_lead_to_another_site(client, path):
    form = {"tenant": "test2", "next": path}
    answer = client.post("/choose-tenant/", form, headers={"host": "localhost"})
    assert answer["Location"] == "/admin/"


def test_where_only_hosts_choose_there_is_no_choice(client, settings):
    settings.TENANT_HEADER = False
    assert client.get("/choose-tenant/", headers={"host": "localhost"}).status_code == 404


# --- unexpected names ---------------------------------------------------------------------

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF), max_size=70)
labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.ABC", min_size=1, max_size=70)
EXISTING = {"test1", "test2"}


class AnyName(TestCase):
    """Only the exact name of a tenant finds it, and nothing is an error of the server."""

    @given(printable)
    def test_in_the_header(self, name):
        # A header that is empty is no header.
        expected = name if name in EXISTING else 404 if name else "test1"
        assert site(self.client, "localhost", **{HEADER: name}) == expected

    @given(labels)
    def test_in_the_host(self, label):
        answer = site(self.client, f"{label}.localhost")
        name = label.lower().replace("-", "_")
        expected = {"public": "public", "www": "test1"} | {name: name for name in EXISTING}
        assert answer in (expected.get(name, 404), 400)
        if name in expected:
            assert answer == expected[name]

    @given(printable)
    def test_in_the_cookie(self, name):
        # What a server reads of any bytes a client sends.
        raw = name.encode().decode("latin-1")
        answer = site(self.client, "localhost", cookie=f"{settings.TENANT_COOKIE_NAME}={raw}")
        assert answer == "test1" or answer in name

    @given(
        header=st.sampled_from(["", "test1", "test2"]),
        host=st.sampled_from(["", "test1", "test2"]),
        cookie=st.sampled_from(["", "test1", "test2"]),
    )
    def test_the_order_is_header_host_cookie_default(self, header, host, cookie):
        self.client.cookies[settings.TENANT_COOKIE_NAME] = cookie
        answer = site(self.client, f"{host}.localhost".lstrip("."), **{HEADER: header})
        assert answer == (header or host or cookie or "test1")
