"""Fixtures of every backend test: a real PostgreSQL with two released tenants, a real Redis."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django_tenants.utils import tenant_context

from tenants.models import Tenant
from tenants.release import release
from tenants.resolution import forget

TENANTS = ("test1", "test2")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Release both tenants once for each test database; `--reuse-db` finds them there."""
    with django_db_blocker.unblock():
        for name in TENANTS:
            Tenant.objects.get_or_create(schema_name=name, defaults={"name": name.capitalize()})
        release()


@pytest.fixture(autouse=True)
def _start_outside_any_tenant() -> Iterator[None]:
    forget()
    connection.set_schema_to_public()
    yield
    connection.set_schema_to_public()


@pytest.fixture
def empty_cache() -> Iterator[None]:
    """Give the test an empty Redis cache, in the database that only tests use."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def test1(db) -> Iterator[Tenant]:
    """The tenant test1, entered."""
    tenant = Tenant.objects.get(schema_name="test1")
    with tenant_context(tenant):
        yield tenant


@pytest.fixture
def browser() -> Client:
    """A client that asks at localhost, as a browser on the developer's machine does."""
    return Client(headers={"host": "localhost"})
