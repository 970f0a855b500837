"""Fixtures of every backend test: a real PostgreSQL with two released tenants, a real Redis."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client, TransactionTestCase
from django.test.utils import setup_databases, teardown_databases
from django_tenants.routers import TenantSyncRouter
from django_tenants.utils import schema_context, tenant_context
from hypothesis import settings as hypothesis_settings
from rest_framework.test import APIClient

from cloud.tests.staying_home import stay_home
from core import health
from core.celery import beat
from core.celery.broker import broker
from core.celery.heartbeat import KEY_PREFIX, leave
from core.tests.admin_pages import AdminClient
from tenants.locks import LOCK, MAINTENANCE_DATABASE
from tenants.models import Tenant
from tenants.release import release
from tenants.resolution import forget
from tenants.tests.logins import APPLICATION
from users.models import User
from users.tokens import AccessToken

TENANTS = ("test1", "test2")
pytest_plugins = ["development.interrupted_tests", "development.test_results"]

stay_home()

# Failing examples are printed, not kept: the checkout may belong to another user.
hypothesis_settings.register_profile("homeport", database=None, deadline=None)
hypothesis_settings.load_profile("homeport")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment,
    django_db_modify_db_settings,
    django_db_blocker,
    django_db_keepdb,
    django_db_createdb,
) -> Iterator[None]:
    """Make the test database, with both tenants released once; `--reuse-db` finds them there.

    pytest-django's own makes one for marked tests only. Those that log in as the application
    cannot be marked, because that puts them into a transaction; run alone they would have met
    the developer's database.
    """
    with django_db_blocker.unblock():
        try:
            connection.ensure_connection()
        except OperationalError as error:
            pytest.exit(f"The database does not answer: {error}Start it: ./dev up", returncode=1)
        made = setup_databases(
            verbosity=0, interactive=False, keepdb=django_db_keepdb and not django_db_createdb
        )
        for name in TENANTS:
            Tenant.objects.get_or_create(schema_name=name, defaults={"name": name.capitalize()})
        release()
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            teardown_databases(made, verbosity=0)


@pytest.fixture(scope="module")
def alone(django_db_setup) -> Iterator[None]:
    """Keep other test processes out while this module makes tenants.

    Their roles belong to the whole cluster. One that is made in a test's transaction would let
    another process wait for it, which may hold the lock that this test needs next.
    """
    params = connection.get_connection_params()
    params |= {"dbname": MAINTENANCE_DATABASE, "options": ""}  # waits as long as it takes
    with psycopg.connect(**params, autocommit=True) as own:
        own.execute("SELECT pg_advisory_lock(%s)", [~LOCK])
        yield


def _is_of_the_product(module: str) -> bool:
    """Tell whether a test module is in an application that has its tables in tenants alone."""
    config = apps.get_containing_app_config(module)
    own = [app for app in settings.TENANT_APPS if app not in settings.SHARED_APPS]
    return config is not None and TenantSyncRouter().app_in_list(config.label, own)


def _start(request: pytest.FixtureRequest) -> None:
    """Enter test1 for a test of the product, and no tenant for any other."""
    forget()
    if _is_of_the_product(request.module.__name__):
        connection.set_schema("test1")
    else:
        connection.set_schema_to_public()


@pytest.fixture(scope="class", autouse=True)
def _start_class(request) -> None:
    """Start before `setUpTestData` of a Django TestCase, which fixtures of a test come after."""
    _start(request)


@pytest.fixture(autouse=True)
def _start_test(request) -> Iterator[None]:
    _start(request)
    yield
    connection.set_schema_to_public()


# Threads that a request starts and may leave behind.
OF_A_REQUEST = ("probe-", "workbench-reading")


@pytest.fixture(autouse=True)
def _patient_probes(monkeypatch) -> Iterator[None]:
    """Give probes time on a busy machine, and let no thread of a request outlive its test.

    One that does answers the next test's question with what it was asked before.
    """
    monkeypatch.setattr(health, "TIME_LIMIT", 30)
    monkeypatch.setattr(health, "REDIS_TIMEOUT", 30)
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(OF_A_REQUEST):
            thread.join(60)
            if thread.is_alive():
                pytest.fail(f"the thread {thread.name} outlives its test")


@pytest.fixture
def empty_cache() -> Iterator[None]:
    """Give the test an empty cache: its process's part of the Redis database for tests."""
    _empty_cache()
    yield
    _empty_cache()


def _empty_cache() -> None:
    client = cache._cache.get_client(write=True)
    for key in client.scan_iter(match=f"*:{cache.key_prefix}:*", count=1000):
        client.delete(key)


@pytest.fixture
def test1(db) -> Iterator[Tenant]:
    """The tenant test1, entered."""
    with schema_context("public"):
        tenant = Tenant.objects.get(schema_name="test1")
    with tenant_context(tenant):
        yield tenant


@pytest.fixture
def as_app(django_db_setup, django_db_blocker) -> Iterator[None]:
    """Log Django in as web and worker are, without the owner's rights.

    The other tests log in as app_owner, who has made the test database and may do too much to
    prove anything. No transaction surrounds the test: what it writes is seen by other
    connections, and removed at its end.
    """
    owner = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD", "HOST", "PORT")}
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict.update({key.upper(): part for key, part in APPLICATION.items()})
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict.update(owner)
            _remove_rows()


@pytest.fixture(scope="session", autouse=True)
def _kept_tenants() -> Iterator[None]:
    """Let tests without a transaction remove rows; Django's flush would remove the tenants."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: _remove_rows())
        yield


MADE_BY_A_RELEASE = {"django_migrations", "django_content_type", "auth_permission"}


def _remove_rows() -> None:
    connection.set_schema_to_public()
    Tenant.objects.exclude(schema_name__in=TENANTS).delete()
    Tenant.objects.update(is_active=True)
    for name in (*TENANTS, "public"):
        with schema_context(name), connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [name])
            names = {table for (table,) in cursor.fetchall()}
            emptied = names - MADE_BY_A_RELEASE if name != "public" else {"users_user"}
            rows = (f"(SELECT '{table}' FROM {name}.{table} LIMIT 1)" for table in emptied)  # noqa: S608
            cursor.execute(" UNION ALL ".join(rows))
            if filled := [f"{name}.{table}" for (table,) in cursor.fetchall()]:
                cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
    connection.close()


@pytest.fixture
def browser() -> Client:
    """A client that asks at localhost, as a browser on the developer's machine does."""
    return Client(headers={"host": "localhost"})


# --- the API ------------------------------------------------------------------------------


class SiteClient(APIClient):
    """A client of the API; a request leaves the test in the tenant it was in."""

    def request(self, **kwargs):
        tenant = connection.tenant
        response = super().request(**kwargs)
        if response.streaming:  # to the end, like a server, which then leaves the tenant
            response.streaming_content = [b"".join(response.streaming_content)]
        connection.set_tenant(tenant)
        return response

    def log_in(self, user: User) -> "SiteClient":
        self.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(user)}")
        return self


@pytest.fixture
def media(tmp_path, settings) -> Path:
    """Keep the test's uploads in a temporary directory."""
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def site(test1, empty_cache, media) -> SiteClient:
    """An anonymous client at test1; errors are answers, too."""
    client = SiteClient(raise_request_exception=False, headers={"host": "test1.localhost"})
    client.get("/")  # now the tenant is remembered, as it nearly always is
    return client


@pytest.fixture
def ann(test1) -> User:
    """A customer."""
    return User.objects.create_user("ann@example.com", "correct horse battery staple")


@pytest.fixture
def bob(test1) -> User:
    """Another customer."""
    return User.objects.create_user("bob@example.com", "correct horse battery staple")


@pytest.fixture
def office(test1, empty_cache) -> AdminClient:
    """A browser that is logged in to the admin of test1."""
    client = AdminClient(headers={"host": "test1.localhost"})
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


@pytest.fixture
def as_ann(site, ann) -> SiteClient:
    return site.log_in(ann)


@pytest.fixture
def as_bob(test1, media, bob) -> SiteClient:
    client = SiteClient(raise_request_exception=False, headers={"host": "test1.localhost"})
    return client.log_in(bob)


@pytest.fixture
def worker_heard_from() -> Iterator[None]:
    """Leave the heartbeats of a worker and of the scheduler in it."""
    # The processes of one run share the broker, and none takes away the heartbeat of another.
    key = f"{KEY_PREFIX}test-worker-{os.getpid()}"
    leave(key, 600)  # longer than a test
    leave(beat.ALIVE, 600)  # of every worker: none takes it away
    yield
    broker().delete(key)
