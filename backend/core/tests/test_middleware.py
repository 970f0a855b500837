"""What is decided about a request before any view sees it."""

import time
from functools import partial
from ipaddress import ip_network

import pytest
import redis
from django.apps import apps
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.views.debug import get_default_exception_reporter_filter
from django.views.generic import ListView, TemplateView
from rest_framework.generics import ListAPIView

from core import liveness
from core.middleware import ForwardedHeadersMiddleware, TenantOnlyMiddleware

EXAMPLE = "development.notes"  # an application of tenants
SAID = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9", "x-request-id": "1"}


@pytest.fixture
def believed(settings):
    """Return a function that names the headers left of a request from an address."""

    def ask(sender: str, proxies: int = 1) -> set[str]:
        settings.PROXY_COUNT = proxies
        settings.PROXY_NETWORKS = [ip_network("10.0.1.0/24"), ip_network("fd00::/8")]
        request = RequestFactory().get("/", headers=SAID, REMOTE_ADDR=sender)
        ForwardedHeadersMiddleware(lambda request: HttpResponse())(request)
        return {name.lower() for name in request.headers} & SAID.keys()

    return ask


@pytest.mark.parametrize("sender", ["10.0.1.7", "fd00::7"])
def test_the_proxy_is_believed(believed, sender):
    assert believed(sender) == SAID.keys()


@pytest.mark.parametrize("sender", ["10.0.2.7", "203.0.113.9", "::1", "", "not-an-address"])
def test_nobody_else_is(believed, sender):
    assert believed(sender) == {"x-request-id"}


def test_without_a_proxy_nobody_is(believed):
    assert believed("10.0.1.7", proxies=0) == {"x-request-id"}


@pytest.mark.parametrize("host", ["10.0.3.9:8000", "evil.example"])
def test_a_probe_may_name_web_as_it_likes_but_nobody_else_may(browser, host):
    assert browser.get("/api/v1/health/live/", headers={"host": host}).status_code == 200
    assert browser.get("/", headers={"host": host}).status_code == 400


def test_an_unknown_host_is_told_nothing_of_the_settings(browser, settings):
    settings.DEBUG = True
    answer = browser.get("/admin/", headers={"host": "evil.example", "accept": "text/html"})

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert len(answer.content) < 500


def test_health_answers_where_any_host_is_allowed(browser, settings):
    settings.ALLOWED_HOSTS = ["*"]
    assert browser.get("/api/v1/health/live/").status_code == 200


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@redis:6379/1", "postgres://app:hunter2/@db/x", "smtp://a:hunter2@b@c"]
)
def test_passwords_in_urls_are_masked_where_settings_are_shown(settings, url):
    settings.CELERY_BROKER_URL = url
    settings.CACHES = {"default": {"LOCATION": [url], "OPTIONS": {"timeout": 2}}}
    shown = str(get_default_exception_reporter_filter().get_safe_settings())

    assert "hunter2" not in shown
    assert "redis" in shown


def test_a_draining_web_tells_its_probes_and_still_answers(browser, monkeypatch, tmp_path):
    monkeypatch.setattr(liveness, "DRAIN_FILE", tmp_path / "draining")
    assert browser.get("/api/v1/health/live/").status_code == 200
    (tmp_path / "draining").touch()
    answer = browser.get("/api/v1/health/live/")
    assert (answer.status_code, answer.json()) == (503, {"status": "draining"})


# --- the operators' host ------------------------------------------------------------------


@pytest.mark.parametrize("named", [EXAMPLE, f"{EXAMPLE}.apps.NotesConfig"])
@pytest.mark.parametrize("schema", ["public", "test1"])
@pytest.mark.django_db
def test_views_of_tenants_are_not_found_at_the_operators(settings, named, schema):
    settings.TENANT_APPS = [named if app == EXAMPLE else app for app in settings.TENANT_APPS]
    browser = Client(headers={"host": f"{schema}.localhost"})
    wanted = 404 if schema == "public" else 401
    assert browser.get("/api/v1/notes/").status_code == wanted


@pytest.mark.django_db
def test_a_view_is_found_in_an_application_that_is_a_package_of_a_package(settings, monkeypatch):
    config = apps.get_app_config("notes")
    monkeypatch.setattr(config, "name", "shop.notes")
    settings.TENANT_APPS = ["shop.notes"]
    middleware = TenantOnlyMiddleware(lambda request: HttpResponse())

    def view(request):
        return HttpResponse()

    view.__module__ = "shop.notes.views"
    for asked in (view, partial(view)):
        assert middleware.process_view(RequestFactory().get("/"), asked, [], {}).status_code == 404


@pytest.mark.django_db
def test_a_generic_view_of_a_url_file_is_of_the_application_of_its_model():
    note = apps.get_model("notes", "Note")
    notes = note.objects.all()
    middleware = TenantOnlyMiddleware(lambda request: HttpResponse())
    for view in (
        ListView.as_view(model=note),
        ListView.as_view(queryset=notes),
        ListAPIView.as_view(queryset=notes),
    ):
        assert middleware.process_view(RequestFactory().get("/"), view, [], {}).status_code == 404
    page = TemplateView.as_view(template_name="page.html")
    assert middleware.process_view(RequestFactory().get("/"), page, [], {}) is None


# --- outages ------------------------------------------------------------------------------

OUTAGES = (OperationalError("down"), InterfaceError("closed"), redis.ConnectionError("down"))


def unavailable(response) -> bool:
    problem = response.headers["Content-Type"] == "application/problem+json"
    return (response.status_code, response.headers.get("Retry-After"), problem) == (503, "5", True)


@pytest.mark.parametrize("error", OUTAGES)
@pytest.mark.parametrize("where", [f"{EXAMPLE}.services.notes_for", "tenants.middleware.resolve"])
@pytest.mark.django_db
def test_an_outage_is_answered_503_wherever_it_is_met(as_ann, monkeypatch, where, error, caplog):
    def down(*arguments, **named):
        raise error

    monkeypatch.setattr(where, down)
    assert unavailable(as_ann.get("/api/notes/"))
    assert "Traceback" not in caplog.text


@pytest.mark.django_db
def test_an_outage_is_answered_503_even_between_views_and_client(browser, monkeypatch):
    def down(*arguments, **named):
        raise redis.TimeoutError("Timeout reading from socket")

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", down)
    browser.raise_request_exception = False
    assert unavailable(browser.get("/api/notes/", headers={"host": "test1.localhost"}))


def test_a_database_that_hangs_is_noticed_and_the_connection_given_up(as_app):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert connection.is_usable()
    psycopg_connection = connection.connection
    # A server that is busy does not answer either, and for this connection that is the same.
    psycopg_connection.pgconn.send_query(b"SELECT pg_sleep(60)")
    began = time.monotonic()
    assert not connection.is_usable()
    assert time.monotonic() - began < 30
    pid = psycopg_connection.info.backend_pid
    connection.close()
    assert not connection.is_usable()
    with connection.cursor() as cursor:  # a session would keep the test database from its removal
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
