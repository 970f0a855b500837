"""Where a collector is named, it gets spans and figures, without values; else there is nothing."""

import json
import os
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path

import pytest
from celery import chain, signals
from celery.app.trace import build_tracer
from django.core import mail
from django.core.mail import send_mail
from django.db import ProgrammingError, connection, transaction
from django.urls import path
from kombu.exceptions import OperationalError
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from psycopg.sql import SQL, Identifier

from core import tracing
from core.celery import app, echo, kept_connections
from core.celery.broker import broker
from core.celery.figures import SENT_AT
from core.gauges import GAUGES
from core.tests.collector import attributes, receiving
from core.tests.test_env import PRODUCTION
from core.tracing import metrics, otlp
from core.tracing.instrumentation import provider
from core.tracing.privacy import without_values

BACKEND = Path(__file__).parents[2]


class Collecting(SpanProcessor):
    spans: list[ReadableSpan] | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if self.spans is not None:
            self.spans.append(span)


@pytest.fixture(scope="session")
def _collecting():
    processor = Collecting()
    provider().add_span_processor(processor)
    return processor


@pytest.fixture
def spans(_collecting):
    """The spans that end in a test, in this order."""
    _collecting.spans = []
    yield _collecting.spans
    _collecting.spans = None


@pytest.fixture
def collector(settings):
    with receiving() as receiver:
        settings.TRACES_ENDPOINT = receiver.url
        settings.TRACES_HEADERS = {"x-api-key": "key"}
        yield receiver


def send(spans) -> None:
    processor = otlp.processor()
    for span in spans:
        processor.on_end(span)
    processor.force_flush()
    processor.shutdown()


@pytest.mark.django_db
def test_a_request_and_its_queries_are_one_trace_of_its_tenant(client, spans):
    answer = client.get("/api/v1/nosuch/", headers={"host": "test2.localhost"})
    (request,) = (span for span in spans if span.kind is trace.SpanKind.SERVER)
    queries = [span for span in spans if span.attributes.get("db.system.name") == "postgresql"]

    trace_id = format(request.context.trace_id, "032x")
    assert answer["X-Request-ID"].replace("-", "") == trace_id
    assert request.attributes["tenant"] == "test2"
    assert queries
    assert {span.context.trace_id for span in queries} == {request.context.trace_id}


@pytest.mark.django_db
def test_a_trace_that_the_client_began_has_the_id_of_the_request_beside_it(client, spans):
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"host": "test1.localhost", "traceparent": header}
    answer = client.get("/api/v1/nosuch/", headers=headers)
    (request,) = (span for span in spans if span.kind is trace.SpanKind.SERVER)
    assert format(request.context.trace_id, "032x") == "0af7651916cd43dd8448eb211c80319c"
    assert request.attributes["request_id"] == answer["X-Request-ID"].replace("-", "")


def only_server(spans) -> ReadableSpan:
    (found,) = (span for span in spans if span.kind is trace.SpanKind.SERVER)
    return found


@pytest.mark.django_db
def test_a_request_has_its_route_and_status_and_no_method_that_its_client_invented(client, spans):
    client.generic("BREW", "/api/v1/nosuch/", headers={"host": "test1.localhost"})
    span = only_server(spans)
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.response.status_code"] == 404
    assert span.status.is_unset
    spans.clear()
    client.get("/api/v1/schema/", headers={"host": "test1.localhost"})
    assert only_server(spans).name == "GET api/v1/schema/"


@pytest.mark.django_db
def test_a_request_that_fails_says_why(client, settings, spans):
    def fail(request):
        raise RuntimeError("expected by this test")

    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [path("fails/", fail)]})
    client.raise_request_exception = False
    client.get("/fails/", headers={"host": "test1.localhost"})
    span = only_server(spans)
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["error.type"] == "500"
    [event] = [event for event in span.events if event.name == "exception"]
    assert span.status.description == "RuntimeError: expected by this test"
    assert "Traceback" in event.attributes["exception.stacktrace"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sql", "name", "text"),
    [
        ("/* ann */ select 1", "select", "/* ann */ select 1"),
        (b"SELECT 1", "SELECT", "SELECT 1"),
        (SQL("SELECT {}").format(Identifier("schema_name")) + SQL(" FROM tenant_config"),
         "SELECT", 'SELECT "schema_name" FROM tenant_config'),
    ],
)  # fmt: skip
def test_a_query_is_a_span_with_its_text_and_tenant(spans, sql, name, text):
    with tracing.traced("step") as step, connection.cursor() as cursor:
        cursor.execute(sql)
    query = spans[0]
    assert (query.name, query.attributes["db.query.text"]) == (name, text)
    assert query.attributes["db.system.name"] == "postgresql"
    assert query.attributes["tenant"] == connection.schema_name
    assert query.parent.span_id == step.get_span_context().span_id


@pytest.mark.django_db
def test_a_query_that_the_database_refuses_failed(spans):
    with tracing.traced("step"), pytest.raises(ProgrammingError), transaction.atomic():
        connection.cursor().execute("SELECT nothing")
    query = next(span for span in spans if span.name == "SELECT")
    assert query.status.status_code is trace.StatusCode.ERROR
    assert "nothing" in query.status.description


@pytest.mark.django_db
def test_a_connection_that_opens_within_another_wrapper_stays_traced(spans):
    opened = connection.copy()
    try:
        with opened.execute_wrapper(lambda run, *given: run(*given)):
            opened.ensure_connection()
        with tracing.traced("step"):
            opened.cursor().execute("SELECT 1")
    finally:
        opened.close()
    assert [span.name for span in spans] == ["SELECT", "step"]


@pytest.mark.django_db
def test_what_belongs_to_no_request_and_no_task_begins_no_trace(client, spans):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    client.get("/api/v1/health/live/")
    assert spans == []


@pytest.mark.django_db
def test_a_message_has_the_trace_and_the_time_it_was_sent(settings, spans):
    with tracing.traced("test"):
        echo.delay("hello")
    message = json.loads(broker().lpop(settings.CELERY_TASK_DEFAULT_QUEUE))
    sending = next(span for span in spans if span.kind is trace.SpanKind.PRODUCER)
    traceparent = message["headers"]["traceparent"]

    assert traceparent.split("-")[1] == format(sending.context.trace_id, "032x")
    assert message["headers"][SENT_AT] == pytest.approx(time.time(), abs=60)


def test_a_task_that_cannot_be_sent_leaves_no_span_behind():
    before = trace.get_current_span()
    broken = app.connection_for_write("redis://127.0.0.1:1/0")
    with broken, pytest.raises(OperationalError):
        app.send_task("core.echo", ["hello"], connection=broken, retry=False)
    assert trace.get_current_span() is before


def work(settings) -> None:
    """Run the newest waiting task like a worker, without one."""
    message = json.loads(broker().lpop(settings.CELERY_TASK_DEFAULT_QUEUE))
    args, kwargs, embedded = json.loads(b64decode(message["body"]))
    task = app.tasks[message["headers"]["task"]]
    request = {**message["headers"], **embedded, "args": args, "kwargs": kwargs, "is_eager": False,
               "ignore_result": True,
               "delivery_info": message["properties"]["delivery_info"]}  # fmt: skip
    # It would take the test's transaction for one that a time limit has interrupted.
    signals.task_postrun.disconnect(kept_connections.leave)
    try:
        build_tracer(task.name, task, app=app)(request["id"], args, kwargs, request)
    finally:
        signals.task_postrun.connect(kept_connections.leave)


@pytest.fixture
def fails_first():
    @app.task(name="core.tests.fails_first", bind=True, default_retry_delay=0)
    def fails_first(self):
        if not self.request.retries:
            raise self.retry()

    yield fails_first
    app.tasks.pop(fails_first.name)


@pytest.mark.django_db
def test_a_task_that_is_tried_again_stays_in_its_trace(settings, spans, fails_first):
    with tracing.traced("test") as sender:
        fails_first.delay()
    work(settings)
    work(settings)
    runs = [span for span in spans if span.kind is trace.SpanKind.CONSUMER]
    assert [span.attributes["celery.state"] for span in runs] == ["RETRY", "SUCCESS"]
    assert {span.context.trace_id for span in runs} == {sender.get_span_context().trace_id}


@pytest.mark.django_db
def test_the_tasks_of_a_chain_are_one_trace(settings, spans):
    with tracing.traced("test") as sender:
        chain(echo.si("one"), echo.si("two"), echo.si("three")).delay()
    for _ in range(3):
        work(settings)
    runs = [span for span in spans if span.kind is trace.SpanKind.CONSUMER]
    assert len(runs) == 3
    assert {span.context.trace_id for span in runs} == {sender.get_span_context().trace_id}


@pytest.mark.django_db
def test_an_e_mail_carries_the_trace_in_its_headers(spans):
    with tracing.traced("test"):
        send_mail("Subject", "Body", "shop@example.com", ["ann@example.com"])
    (message,) = mail.outbox
    sending = next(span for span in spans if span.name == "send e-mail")
    assert format(sending.context.trace_id, "032x") in message.message()["traceparent"]
    assert "ann@example.com" not in str(sending.attributes)


# --- what must not be in a span ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "without"),
    [
        ("SELECT 'ann@example.com', 42", "SELECT ?, ?"),
        ("SELECT 'it''s', $t$ secret $t$, E'x'", "SELECT ?, ?, ?"),
        ('SELECT "t1"."a2" FROM t1 WHERE x = %s', 'SELECT "t1"."a2" FROM t1 WHERE x = %s'),
        ("SELECT 1 /* ann */ -- bob", "SELECT ? ? ?"),
    ],
)
def test_values_in_sql_are_replaced(sql, without):
    assert without_values(sql) == without


@pytest.mark.django_db
def test_a_collector_gets_neither_values_nor_personal_data(client, spans, collector):
    client.get(
        "/api/v1/products/4711secret/?email=ann@example.com",
        headers={"host": "test1.localhost", "user-agent": "Ann's phone"},
        REMOTE_ADDR="198.51.100.7",
    )
    with tracing.traced("step"):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'bob@example.com', %s", ["carl@example.com"])
        try:
            with tracing.traced("inner"):
                raise ValueError("dora@example.com")
        except ValueError:
            trace.get_current_span().add_event("log", {"text": "emil@example.com"})
    send(spans)

    assert collector.headers["x-api-key"] == "key"
    names = {span.name for span in collector.spans}
    assert {"step", "inner"} <= names
    for word in (b"example.com", b"4711secret", b"phone", b"198.51.100.7"):
        assert word not in collector.all
    assert {attributes(span)["tenant"] for span in collector.spans} <= {"test1", "public"}
    (failed,) = (span for span in collector.spans if span.name == "inner")
    assert failed.status.code == 2
    assert "ValueError" in str(failed.events)


def test_a_collector_that_hangs_holds_nothing_up(collector, spans):
    collector.hangs.set()
    processor = otlp.processor()
    with tracing.traced("step"):
        pass
    began = time.monotonic()
    for _ in range(20_000):  # more than the queue holds
        processor.on_end(spans[0])
    assert time.monotonic() - began < 25  # the collector hangs for 30
    collector.released.set()
    processor.shutdown()


# --- figures ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_worker_sends_the_state_of_the_whole(collector):
    meters = metrics.observe("test")
    meters.force_flush()
    meters.shutdown()
    assert {gauge.name for gauge in GAUGES} <= collector.figures
    assert "homeport.queue.length" in collector.figures
    assert "homeport.queue.age" in collector.figures
    assert "homeport.tenants" in collector.figures


# --- production ------------------------------------------------------------------------------

# In two pieces, because a report of an error has the lines around it, on Python 3.13 these too.
REQUEST = """
import django; django.setup()
from django.conf import settings
from django.test import Client
from core import tracing
tracing.start_metrics()
Client(raise_request_exception=False).get("/?who=ann" "@example.com", headers={"host": "app.example.com", "x-forwarded-proto": "https"}, secure=True)
Client(raise_request_exception=False).get("/static/none.css", headers={"host": "app.example.com"}, secure=True)
try:
    raise RuntimeError("expected by this test")
except RuntimeError as error:
    if settings.SENTRY_DSN:
        import sentry_sdk
        sentry_sdk.capture_exception(error)
tracing.flush()
import sys
print("imported", "opentelemetry.sdk.trace" in sys.modules, "sentry_sdk" in sys.modules)
"""  # noqa: E501


def in_production(**variables: str) -> subprocess.CompletedProcess:
    """Answer a request with production's settings, while no database answers."""
    return subprocess.run(
        [sys.executable, "-c", REQUEST],
        cwd=BACKEND,
        env={
            **PRODUCTION,
            "DATABASE_URL": "postgres://app:long-enough-to-be-safe@127.0.0.1:1/business",
            "PATH": os.environ["PATH"],
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_without_a_collector_traces_nothing_and_loads_nothing_for_it():
    done = in_production()
    assert "imported False False" in done.stdout, done.stderr


def test_production_sends_traces_figures_and_errors_to_those_that_are_named():
    with receiving() as collector:
        port = collector.url.rpartition(":")[2]
        done = in_production(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            SENTRY_DSN=f"http://0123456789abcdef@127.0.0.1:{port}/1",
        )
    assert "imported True True" in done.stdout, done.stderr
    assert [span.name for span in collector.spans] == ["GET"]
    assert "http.server.request.duration" in collector.figures
    assert b"expected by this test" in collector.all
    for word in (b"ann@example.com", b"long-enough-to-be-safe"):
        assert word not in collector.all
