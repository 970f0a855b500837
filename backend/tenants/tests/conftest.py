"""Processes that serve the test database as production's do."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from django_tenants.utils import schema_context

from core.settings.base import env
from users.models import User

BACKEND = Path(__file__).parents[2]
TIMEOUT = 30  # seconds in which a process must have ended


@pytest.fixture
def one_account_each(as_app):
    """One account in each tenant, with the same id and address."""
    for tenant in ("test1", "test2"):
        with schema_context(tenant):
            User.objects.create(pk=1, email="ann@example.com", first_name=tenant)


@pytest.fixture
def other_content_types(as_app):
    """Give test2 other ids of content types than test1 has."""
    with schema_context("test2"), connection.cursor() as cursor:
        cursor.execute("UPDATE django_content_type SET model = 'x' WHERE model = 'user'")
        cursor.execute(
            "INSERT INTO django_content_type (app_label, model) VALUES ('users', 'user')"
        )
    yield
    with schema_context("test2"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_content_type WHERE model = 'user'")
        cursor.execute("UPDATE django_content_type SET model = 'user' WHERE model = 'x'")


@pytest.fixture
def another_of_the_same_name(as_app):
    """Return a function that gives a tenant's row, schema and accounts' ids to another one.

    As a drop and a new tenant of that name do, without what making a schema takes.
    """

    def exchange(name):
        connection.set_schema_to_public()
        with psycopg.connect(
            **connection.get_connection_params() | owner(), autocommit=True
        ) as own:
            own.execute(
                "UPDATE tenant_config SET identity = gen_random_uuid() WHERE schema_name = %s",
                [name],
            )
            own.execute(f"UPDATE {name}.users_user SET identity = gen_random_uuid()")

    return exchange


def owner():
    database = env["DATABASE_URL"]
    return {key: database[key.upper()] for key in ("user", "password", "host", "port")}


@pytest.fixture(scope="module")
def queue(django_db_setup):
    """Return the name of this test database's queue."""
    return f"tests-{connection.settings_dict['NAME']}"


@pytest.fixture(scope="module")
def worker(queue, tmp_path_factory):
    """Start a worker of two processes, logged in as in production; yield the path of its log."""
    log = tmp_path_factory.mktemp("worker") / "log"
    script = (
        "import django; django.setup();"
        "from core.celery import app; import tenants.tests.tasks;"
        # Health's tests count the workers that are heard from.
        "from core.celery.heartbeat import HeartbeatStep;"
        "app.steps['consumer'].remove(HeartbeatStep);"
        f"app.conf.task_default_queue = {queue!r};"
        "app.worker_main(['--quiet', 'worker', '--concurrency=2', '--without-gossip',"
        "'--without-mingle', '--hostname=tests@%n'])"
    )
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=BACKEND,
            env=as_in_production(),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    yield log
    assert process.poll() is None, log.read_text()
    process.terminate()
    process.wait(TIMEOUT)


def as_in_production() -> dict[str, str]:
    """Return the environment of a process that logs in to the test database as app."""
    place = connection.settings_dict
    url = f"postgres://app@{place['HOST']}:{place['PORT'] or 5432}/{place['NAME']}"
    return os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "core.settings.test"}
