"""Tasks run in the tenant that sent them, or not at all."""

import gc
import os
import subprocess
import sys

import pytest
from celery import signals
from celery.exceptions import Reject
from celery.exceptions import TimeoutError as ResultTimeout
from django.conf import settings
from django.db import OperationalError, connection
from django_tenants.utils import schema_context

from core.celery import app, application, echo
from core.celery.broker import broker

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("tenant", ["test1", "test2"])
def test_a_task_runs_in_the_tenant_that_sent_it(tenant):
    with schema_context(tenant):
        sent = echo.s("hello").apply()
    assert sent.get() == {"message": "hello", "tenant": tenant}
    assert connection.schema_name == "public"


def test_a_task_of_a_tenant_that_is_gone_fails_instead_of_running_in_public():
    result = echo.apply(args=["hello"], headers={"_schema_name": "gone"})

    assert result.failed()
    assert isinstance(result.result, LookupError)
    assert "gone" in str(result.result)


def test_a_task_that_is_sent_subscribes_to_nothing_until_its_result_is_asked_for():
    queue, subscribed = "subscription-tests", app.backend.result_consumer.subscribed_to
    before = len(subscribed)
    try:
        sent = echo.apply_async(args=["hello"], queue=queue)
        assert len(subscribed) == before
        with pytest.raises(ResultTimeout):
            sent.get(timeout=0.1)
        assert len(subscribed) == before + 1
        sent.forget()
    finally:
        broker().delete(queue)


def test_only_json_is_accepted():
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"


def test_a_killed_workers_task_runs_again():
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1


def test_a_process_of_the_pool_does_not_collect_what_it_shares_with_the_others():
    signals.worker_before_create_process.send(sender=None)
    try:
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("where", ["the schema", "the work"])
def test_a_task_that_meets_no_database_goes_back_to_the_queue(monkeypatch, where):
    def away(*arguments, **named):
        raise OperationalError("connection refused")

    monkeypatch.setattr(application, "REQUEUE_DELAY", 0)
    if where == "the schema":
        monkeypatch.setattr(connection, "cursor", away)
        headers = {"_schema_name": "test1"}
        monkeypatch.setattr(application, "get_schema_name_from_task", lambda task, kwargs: "test1")
    else:
        headers = {}
        monkeypatch.setattr(echo, "run", away)
    echo.push_request(headers=headers)
    try:
        with pytest.raises(Reject) as refusal:
            echo("hello")
    finally:
        echo.pop_request()
    assert refusal.value.requeue


def test_broker_and_results_are_asked_with_the_password_that_is_in_its_own_variable():
    """Celery reads the URLs of the environment by itself, and would log in without it."""
    given = {
        "REDIS_PASSWORD": "p@ss/word",
        "CELERY_BROKER_URL": "redis://default@127.0.0.1:1/1",
        "CELERY_RESULT_BACKEND": "redis://default@127.0.0.1:1/2",
    }
    code = "from core.celery import app; print(app.conf.broker_url, app.conf.result_backend)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR, env={**os.environ, **given}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == [
        "redis://default:p%40ss%2Fword@127.0.0.1:1/1",
        "redis://default:p%40ss%2Fword@127.0.0.1:1/2",
    ], done.stderr
