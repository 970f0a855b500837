"""Health answers quickly, names what is down, and survives what hangs."""

import os
import threading

import pytest
from django.db import connection

from core import health
from core.celery import beat
from core.celery.broker import broker
from core.celery.heartbeat import KEY_PREFIX, active_workers, leave
from core.settings import base
from core.tests.waiting import wait_until
from tenants.migration import migrations_on_disk, stamp_of


@pytest.fixture
def probe(monkeypatch):
    """Replace every probe by one of the test's own."""

    def install(**probes):
        monkeypatch.setattr(health, "_probes", probes)

    return install


def test_liveness_needs_neither_database_nor_tenant(browser):
    # Without the db fixture any query fails the test.
    response = browser.get("/api/v1/health/live/", headers={"host": "nosuch.localhost"})

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
@pytest.mark.usefixtures("worker_heard_from")
def test_readiness_has_an_entry_with_latency_for_every_dependency(browser):
    answer = browser.get("/api/v1/health/")

    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert body["status"] == "ok"
    assert body["server"] == "runserver"
    migrations = {"code", "migrations", "unknown_migrations"}
    assert set(body["checks"]) == {"database", "cache", "broker", "worker", "beat", *migrations}
    assert all(check["latency_ms"] >= 0 for check in body["checks"].values())


def test_a_heartbeat_of_before_the_last_start_of_the_broker_does_not_count():
    name = f"test-restored-{os.getpid()}"
    key = f"{KEY_PREFIX}{name}"
    leave(key, 600)
    assert name in active_workers()
    broker().set(key, "the start before", ex=600)  # as Redis restores it from its file
    assert name not in active_workers()
    broker().delete(key)


@pytest.fixture
def no_worker(monkeypatch):
    """No worker is heard from, not even by another process of the same test run."""
    monkeypatch.setattr("core.health.active_workers", list)


@pytest.mark.django_db
def test_readiness_names_a_missing_worker(browser, no_worker):
    answer = browser.get("/api/v1/health/")

    assert answer.status_code == 503
    assert answer.json()["down"] == ["worker"]
    assert "./dev logs worker" in answer.json()["checks"]["worker"]["error"]


@pytest.mark.django_db
@pytest.mark.usefixtures("worker_heard_from")
def test_readiness_is_degraded_when_no_schedule_would_be_sent(browser, monkeypatch):
    monkeypatch.setattr(beat, "ALIVE", "homeport:tests:silent")
    answer = browser.get("/api/v1/health/")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["down"] == ["beat"]
    assert "./dev logs worker" in answer.json()["checks"]["beat"]["error"]


@pytest.fixture
def one_more_migration(monkeypatch):
    more = frozenset({*migrations_on_disk(), ("users", "9999_not_applied")})
    monkeypatch.setattr("tenants.health.migrations_on_disk", lambda: more)
    monkeypatch.setattr("tenants.health.stamp", lambda: stamp_of(more))


@pytest.mark.django_db
def test_production_names_no_command_of_a_checkout(
    browser, settings, one_more_migration, no_worker
):
    settings.REMEDIES = base.REMEDIES
    checks = browser.get("/api/v1/health/").json()["checks"]

    assert checks["worker"]["error"].endswith("no worker has been heard from; see its log")
    assert checks["migrations"]["error"].endswith("; run: bin/release")


@pytest.mark.django_db
def test_readiness_names_the_schemas_with_pending_migrations(browser, one_more_migration):
    check = browser.get("/api/v1/health/").json()["checks"]["migrations"]

    assert check["status"] == "fail"
    assert "public, test1, test2" in check["error"]
    assert "./dev migrate" in check["error"]


def test_a_broken_dependency_is_named_with_its_fault(browser, probe):
    def broken():
        raise ConnectionError("refused at db:5432")

    probe(database=broken, cache=lambda: None)
    answer = browser.get("/api/v1/health/")

    assert answer.status_code == 503
    assert answer.json()["down"] == ["database"]
    assert answer.json()["checks"]["database"]["error"] == "ConnectionError: refused at db:5432"
    assert answer.json()["checks"]["cache"]["status"] == "ok"


def test_a_dependency_that_hangs_is_reported_and_asked_only_once(browser, probe, monkeypatch):
    monkeypatch.setattr(health, "TIME_LIMIT", 0.2)
    released = threading.Event()
    asked = []

    def hangs():
        asked.append(1)
        released.wait(30)

    probe(database=hangs, cache=lambda: None)
    try:
        answers = [browser.get("/api/v1/health/") for _ in range(3)]
    finally:
        released.set()

    assert [answer.status_code for answer in answers] == [503] * 3
    assert "no answer within" in answers[0].json()["checks"]["database"]["error"]
    assert answers[0].json()["checks"]["cache"]["status"] == "ok"
    assert len(asked) == 1


def test_a_probe_that_hung_answers_nobody_later(browser, probe):
    """The test before has left nothing that would be taken for this probe."""
    probe(database=lambda: None)
    assert browser.get("/api/v1/health/").json()["checks"]["database"]["status"] == "ok"


def test_probes_leave_no_connection_behind(db):
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with connection.cursor() as cursor:

        def count() -> int:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # else, as at the transaction's first
            cursor.execute(sessions)
            return cursor.fetchone()[0]

        before = count()
        health.run_probes()
        wait_until(lambda: count() <= before)


def test_in_production_many_who_ask_at_once_run_the_probes_once(browser, probe, settings):
    settings.HEALTH_REMEMBERED = 60
    health._recent = None
    asked = []
    probe(database=lambda: asked.append(1))
    try:
        answers = [browser.get("/api/v1/health/") for _ in range(5)]
    finally:
        health._recent = None
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ({"REMOTE_ADDR": "172.18.0.5", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}, False),
        ({"REMOTE_ADDR": "172.18.0.5"}, False),
        ({"REMOTE_ADDR": "127.0.0.1"}, True),
        ({"REMOTE_ADDR": "::1"}, True),
    ],
)
def test_in_production_the_detail_is_for_who_is_on_the_machine(
    browser, probe, settings, sender, shown
):
    def broken():
        raise ConnectionError("refused at db.internal:5432")

    settings.HEALTH_DETAIL = False
    probe(database=broken)
    answer = browser.get("/api/v1/health/", **sender)

    assert answer.status_code == 503
    assert answer.json()["down"] == ["database"]
    assert ("db.internal" in answer.content.decode()) == shown
