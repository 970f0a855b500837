"""What the workbench shows, and that it shows it when things are down."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from core import health, streams
from core.celery.stopped_tasks import KEPT
from core.health import Result
from core.tests.test_env import PRODUCTION
from core.tests.waiting import wait_until
from tenants.models import Tenant
from workbench import readings, state
from workbench.mail import EmailBackend
from workbench.traces import BUCKETS, counts, write

BACKEND = Path(__file__).parents[2]


@pytest.fixture
def services(monkeypatch):
    """Replace what the health registry says."""

    def say(**results):
        monkeypatch.setattr(state.SERVICES, "_read", lambda: results)

    return say


def section(html: str, name: str) -> str:
    return re.search(rf'<section[^>]* id="{name}">.*?</section>', html, re.S).group()


@pytest.mark.django_db
def test_it_shows_whose_address_this_is_and_every_dependency_with_its_latency(bench, services):
    services(database=Result(3.2), emulator=Result(12))
    page = bench.get("/").content.decode()

    assert "<h1>Test1</h1>" in page
    assert "<code>test1</code>" in page
    assert "Everything answers" in page
    assert "3.2 ms" in section(page, "services")
    assert "emulator" in section(page, "services")


@pytest.mark.django_db
def test_it_names_the_stack_to_tell_the_pages_of_several_checkouts_apart(bench, services, settings):
    services(database=Result(1))
    assert "<title>Workbench · Test1" in bench.get("/").content.decode()
    settings.STACK_NAME = "shop-my-branch"
    page = bench.get("/").content.decode()
    assert "<title>shop-my-branch · Workbench · Test1" in page
    colours = r'class="top" style="--own: var\(--hue-[0-5]\); --second: var\(--hue-[0-5]\)"'
    settings.STACK_NAME = "shop-other"
    other = bench.get("/").content.decode()
    assert re.search(colours, page)[0] != re.search(colours, other)[0]


def test_stacks_of_one_machine_have_cookies_of_different_names():
    code = "from core.settings import local as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME)"
    names = {
        stack: subprocess.run(
            [sys.executable, "-c", code],
            cwd=BACKEND,
            env={**os.environ, "STACK_NAME": stack},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for stack in ("one", "two")
    }
    assert len({*names["one"], *names["two"]}) == 4


@pytest.mark.django_db
@pytest.mark.parametrize(("host", "status"), [("nosuch.localhost", 404), ("evil.example", 400)])
def test_an_address_of_no_tenant_is_refused_as_everywhere(bench, services, host, status):
    services(database=Result(1))
    assert bench.get("/", headers={"host": host}).status_code == status


@pytest.mark.django_db
def test_what_is_down_is_named_with_its_fault_and_not_by_colour_alone(bench, services):
    services(database=Result(1), cache=Result(1500, "refused at redis:6379"))
    page = bench.get("/").content.decode()

    assert "Down: cache" in page
    shown = section(page, "services")
    assert "▲</span> down" in shown
    assert "refused at redis:6379" in shown


@pytest.mark.django_db
def test_a_task_that_was_stopped_is_shown_with_the_command_to_look_at_it(bench, services):
    services(database=Result(1))
    kept = json.dumps({"task": "orders.crash", "stopped_at": time.time()})
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        broker.hset(KEPT, "1", kept)
        try:
            shown = section(bench.get("/").content.decode(), "tasks")
        finally:
            broker.hdel(KEPT, "1")
    assert "orders.crash" in shown
    assert "./dev tasks" in shown


def test_a_dead_database_is_shown_and_never_asked_for_the_page(bench, services, monkeypatch):
    # Without the db fixture a query of the page itself would fail the test.
    services(database=Result(1500, "no answer"))
    monkeypatch.setattr(state.TENANTS, "_read", broken)
    answer = bench.get("/")
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "Down: database" in page
    assert "the database does not answer" in page
    assert "connection refused" in section(page, "tenants")


def broken():
    raise ConnectionError("connection refused")


def test_what_hangs_does_not_hold_the_page_up_and_is_asked_once(bench, services, monkeypatch):
    monkeypatch.setattr(readings, "TIMEOUT", 0.2)
    services(database=Result(1500, "no answer"))
    released, asked = threading.Event(), []

    def hangs():
        asked.append(1)
        released.wait(30)

    for reading in (state.ACTIVITY, state.TENANTS):
        monkeypatch.setattr(reading, "_read", hangs)
    began = time.monotonic()
    try:
        pages = [bench.get("/workbench/live/").content.decode() for _ in range(3)]
        took = time.monotonic() - began
    finally:
        released.set()
        for reading in (state.ACTIVITY, state.TENANTS):
            reading._ended.wait(5)

    assert took < 25  # without a limit, 30 for each
    assert len(asked) == 2
    assert "no answer for" in section(pages[0], "requests")


@pytest.mark.django_db
def test_events_bring_the_live_part_until_the_server_stops(bench, services, monkeypatch):
    services(harbour=Result(1))
    stopping = asyncio.Event()
    monkeypatch.setattr(streams, "stopping", stopping)

    @async_to_sync
    async def listened():
        answer = await AsyncClient().get("/workbench/live/events/")
        heard = []
        async for event in answer.streaming_content:
            heard.append(event.decode())
            stopping.set()
        return answer["Content-Type"], heard

    kind, [event] = listened()
    assert kind == "text/event-stream"
    assert "harbour" in section(json.loads(event.removeprefix("data: ")), "services")
    assert bench.get("/workbench/live/events/").status_code == 404
    assert "data-events" not in bench.get("/").content.decode()


@pytest.mark.django_db
def test_requests_are_noted_with_status_time_and_tenant(bench, services, redis_client):
    services(database=Result(1))
    bench.get("/api/nosuch/", headers={"host": "test2.localhost"})
    bench.get("/workbench/live/")
    wait_until(lambda: state.read_activity().requests)
    (noted,) = state.read_activity().requests

    assert (noted["path"], noted["status"], noted["tenant"]) == ("/api/nosuch/", 404, "test2")
    assert noted["ms"] > 0
    state.ACTIVITY._tried_at = float("-inf")
    shown = section(state_page(bench), "requests")
    assert "! 404" in shown
    assert "1 refused (4xx), 0 failed (5xx)" in shown


def state_page(bench) -> str:
    from workbench import views

    views._rendered.clear()
    return bench.get("/").content.decode()


def test_counts_are_exact_also_when_the_list_is_full(redis_client):
    now = 1_000_000
    entry = {"type": "requests", "at": now, "method": "GET", "path": "/", "status": 200, "ms": 1}
    write(redis_client, [(1, (1, entry))] * 500)
    write(redis_client, [(2, (1, entry | {"status": 500}))])
    found = counts(redis_client, now)

    assert len(found) == BUCKETS
    assert found[-1] == {"2xx": 500, "5xx": 1}
    assert len(state.REQUESTS.newest_first(redis_client)) == state.REQUESTS.length


@pytest.mark.django_db
def test_tenants_are_shown_with_links_and_sizes_read_without_any_rights_in_them(bench, services):
    services(database=Result(1))
    shown = section(bench.get("/").content.decode(), "tenants")

    for name in ("test1", "test2"):
        assert f'href="http://{name}.localhost:8000/"' in shown
        assert f'href="http://{name}.localhost:8000/admin/"' in shown
    assert re.search(r"\d\S*\s(KB|MB)", shown)


@pytest.mark.usefixtures("as_app")
def test_sizes_are_known_to_the_login_of_web():
    connection.set_schema_to_public()
    assert all(tenant.size > 0 for tenant in state.list_tenants() if tenant.released == "yes")


@pytest.mark.django_db
def test_sizes_of_tenants_that_are_not_shown_are_not_read():
    connection.set_schema_to_public()
    names = [f"first{number:02}" for number in range(state.SHOWN["tenants"] - 1)]
    Tenant.objects.bulk_create(Tenant(schema_name=name, name=name) for name in names)
    with CaptureQueriesContext(connection) as queries:
        found = state.read_tenants()
    assert [tenant.name for tenant in found.shown] == [*names, "test1"]
    assert found.left_out == 1
    assert not any("test2" in query["sql"] for query in queries)


@pytest.mark.django_db
def test_a_browser_without_host_names_chooses_its_tenant_by_cookie(bench, services):
    services(database=Result(1))
    page = bench.get("/", headers={"host": "name-8000.app.github.dev"}).content.decode()
    assert 'href="/choose-tenant/"' in section(page, "tenants")


# --- e-mails ------------------------------------------------------------------------------


@pytest.fixture
def letter(redis_client) -> str:
    """Send a message that would do harm; return its key."""
    message = EmailMultiAlternatives(
        "Grüße", "Plain words", "shop@localhost", ["ann@example.com"], bcc=["bob@example.com"]
    )
    message.attach_alternative("<h1>Rich</h1><script>alert(1)</script>", "text/html")
    message.attach("bill.csv", "a;b\n", "text/csv")
    with capture_logs() as logged:
        assert EmailBackend().send_messages([message]) == 1
    assert [entry["body"] for entry in logged] == ["Plain words"]
    (kept,) = state.read_activity().mail
    return kept["key"]


def test_an_e_mail_is_readable_with_its_parts(bench, letter):
    page = bench.get(f"/workbench/mail/{letter}/").content.decode()

    for part in ("<h1>Grüße</h1>", "Plain words", "ann@example.com", "bob@example.com", "bill.csv"):
        assert part in page
    assert "<script>" not in page


def test_the_html_of_an_e_mail_can_do_nothing(bench, letter):
    answer = bench.get(f"/workbench/mail/{letter}/html/")

    assert b"<h1>Rich</h1>" in answer.content
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox;")
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy


def test_an_e_mail_that_is_gone_is_answered_404(bench):
    assert bench.get("/workbench/mail/nosuch/").status_code == 404


def test_e_mail_is_logged_also_when_it_cannot_be_kept(settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1"}}
    with capture_logs() as logged:
        sent = EmailBackend().send_messages([EmailMultiAlternatives("S", "Words", to=["a@b.c"])])
    assert sent == 1
    assert [entry["event"] for entry in logged] == ["e-mail", "e-mail not kept for the workbench"]


# --- where it is not ----------------------------------------------------------------------

LOOK = """
import django; django.setup()
from django.apps import apps
from django.conf import settings
from django.urls import Resolver404, resolve
print(apps.is_installed("workbench"), resolve("/").func.__name__, settings.EMAIL_BACKEND)
try:
    print(resolve("/workbench/live/").func.__name__)
except Resolver404:
    print("absent")
print("workbench" in settings.ROOT_URLCONF, settings.TRACED)
"""


def as_under(settings_module: str, code: str) -> subprocess.CompletedProcess:
    """Run code with an environment that production accepts; locally without further variables."""
    production = PRODUCTION if settings_module == PRODUCTION["DJANGO_SETTINGS_MODULE"] else {}
    variables = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": settings_module}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=BACKEND,
        env={**production, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_has_neither_the_application_nor_its_addresses():
    looked = as_under("core.settings.production", LOOK)
    assert looked.stdout.splitlines() == [
        "False landing django.core.mail.backends.smtp.EmailBackend",
        "absent",
        "False False",
    ], looked.stderr


def test_local_settings_have_it_at_the_root():
    looked = as_under("core.settings.local", LOOK)
    assert looked.stdout.splitlines() == [
        "True home workbench.mail.EmailBackend",
        "live",
        "True True",
    ], looked.stderr


def test_production_refuses_to_start_with_it():
    code = (
        "from django.conf import settings; import django;"
        "settings.INSTALLED_APPS.append('workbench'); django.setup()"
    )
    started = as_under("core.settings.production", code)
    assert started.returncode != 0
    assert "for a developer's machine only" in started.stderr


def test_the_registry_of_health_is_what_is_shown(bench, monkeypatch):
    monkeypatch.setattr(health, "_probes", {"harbour": lambda: None})
    assert "harbour" in section(bench.get("/workbench/live/").content.decode(), "services")


def test_the_e_mails_are_told_as_json(bench, letter, capsys):
    call_command("emails")
    [entry] = json.loads(capsys.readouterr().out)
    assert (entry["key"], "source" in entry) == (letter, False)
    call_command("emails", "--key", letter)
    whole = json.loads(capsys.readouterr().out)
    assert whole["text"]
    assert whole["subject"] == entry["subject"]
    with pytest.raises(CommandError, match="no e-mail with the key"):
        call_command("emails", "--key", "nosuch")
