"""Tasks run in the tenant that sent them, or not at all."""

import pytest
from django.conf import settings
from django.db import connection
from django_tenants.utils import schema_context

from core.celery import app, echo

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


def test_only_json_is_accepted():
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"


def test_a_running_task_is_never_handed_out_twice():
    timeout = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert timeout > settings.CELERY_TASK_TIME_LIMIT


def test_a_killed_workers_task_runs_again():
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1
