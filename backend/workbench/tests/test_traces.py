"""Traces are kept within their bound, found, and shown so that what is odd is seen."""

import json
import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import RequestFactory

from core import tracing
from tenants.resolution import forget
from users.models import User
from workbench import spans, traces
from workbench.activity_log import key
from workbench.error_pages import Reporter
from workbench.traces import Bound, Trace, read
from workbench.waterfall import arrange


def span(number: int = 1, parent: int = 0, **given) -> dict:
    return {
        "span": f"{number:016x}",
        "parent": f"{parent:016x}" if parent else "",
        "kind": "internal",
        "name": "step",
        "service": "homeport-web",
        "at": 1000.0 + number / 1000,
        "ms": 1.0,
        "failed": False,
        "attributes": {"tenant": "test1"},
        "events": [],
        **given,
    }


def query(number: int, sql: str, parent: int = 1, **given) -> dict:
    attributes = {"tenant": "test1", "db.system.name": "postgresql", "db.query.text": sql}
    return span(number, parent, kind="client", attributes=attributes, **given)


def request(number: int = 1, **given) -> dict:
    entry = {"type": "requests", "at": time.time(), "method": "GET", "path": "/x/", "status": 200,
             "ms": 1.0, "tenant": "test1", "failed": False, "request_id": ""}  # fmt: skip
    return span(number, kind="server", entry=entry | given)


def write(client, given: list) -> None:
    """Keep spans as the pages read them."""
    traces.write(
        client,
        [
            (
                int(trace_id, 16),
                (
                    int(one["span"], 16),
                    int(one["parent"] or "0", 16),
                    one["kind"].upper(),
                    one["name"],
                    one["service"],
                    round(one["at"] * 1e9),
                    round(one["at"] * 1e9 + one["ms"] * 1e6),
                    one["failed"],
                    None,
                    one["attributes"],
                    [(event["name"], 0, event) for event in one["events"]],
                    one.get("entry"),
                ),
            )
            for trace_id, one in given
        ],
    )


def trace_id(number: int) -> str:
    return f"{number:032x}"


# --- the bound -------------------------------------------------------------------------------


def kept_bytes(client) -> int:
    return sum(
        sum(map(len, client.lrange(name, 0, -1)))
        for name in client.scan_iter(match=key("trace-?" + "*"), count=1000)
        if client.type(name) == b"list"
    )


def test_no_more_traces_are_kept_than_the_bound_says(redis_client, monkeypatch):
    monkeypatch.setattr(traces, "BOUND", Bound(traces=10))
    for number in range(1, 31):
        write(redis_client, [(trace_id(number), span())])
    assert [bool(read(trace_id(number))) for number in (20, 21, 30)] == [False, True, True]


def test_no_more_bytes_are_kept_than_the_bound_says(redis_client, monkeypatch):
    monkeypatch.setattr(traces, "BOUND", Bound(size=50_000))
    for number in range(1, 200):
        write(redis_client, [(trace_id(number), span(name="x" * 1000))])
    assert 20_000 < kept_bytes(redis_client) <= 50_000
    assert read(trace_id(199))


def test_what_is_too_old_is_forgotten_with_the_next_trace(redis_client, monkeypatch):
    write(redis_client, [(trace_id(1), span())])
    now = time.time()
    monkeypatch.setattr(traces.time, "time", lambda: now + traces.BOUND.seconds + 1)
    write(redis_client, [(trace_id(2), span())])
    assert read(trace_id(1)) is None
    assert read(trace_id(2))


def test_of_a_trace_with_ten_thousand_spans_a_part_is_kept_and_its_request(redis_client):
    many = [(trace_id(1), query(n, "SELECT 1")) for n in range(2, 10_002)]
    for begin in range(0, len(many), 500):
        write(redis_client, many[begin : begin + 500])
    write(redis_client, [(trace_id(1), request())])
    found = read(trace_id(1))

    assert kept_bytes(redis_client) <= 2 * traces.BOUND.size_of_trace
    assert found.left_out + len(found.spans) == 10_001
    assert any("entry" in one for one in found.spans)


def test_a_redis_that_is_full_or_gone_costs_the_trace_and_not_the_request(bench, kept, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1"}}
    with tracing.traced("step"):
        pass
    kept()
    assert bench.get("/workbench/traces/").status_code == 200
    assert bench.get(f"/workbench/traces/{trace_id(1)}/").status_code == 404


def test_a_full_redis_loses_the_spans_alone(redis_client, kept, monkeypatch):
    def full(*_arguments):
        raise traces.redis.OutOfMemoryError("OOM command not allowed")

    monkeypatch.setattr(spans.traces, "write", full)
    with tracing.traced("step"):
        pass
    kept()


def test_an_attribute_of_bytes_is_kept(redis_client, kept):
    with tracing.traced("step") as step:
        step.set_attribute("what", b"\x00\xff")
    kept()
    trace_id = format(step.get_span_context().trace_id, "032x")
    [only] = read(trace_id).spans
    assert only["attributes"]["what"] == repr(b"\x00\xff")


# --- finding ---------------------------------------------------------------------------------


def test_a_trace_is_found_by_its_id_the_requests_and_the_tasks(redis_client):
    write(redis_client, [(trace_id(1), request(request_id=trace_id(7)))])
    for text in (trace_id(1), "00000000-0000-0000-0000-000000000001", trace_id(7)):
        assert traces.find(text) == trace_id(1)
    assert traces.find(trace_id(2)) is None
    assert traces.find("../nonsense") is None


@pytest.mark.parametrize(
    ("asked", "number"),
    [("", 3), ("?tenant=test2", 1), ("?only=slow", 1), ("?only=failed", 1), ("?text=/b", 1),
     ("?type=tasks", 0), ("?tenant=test2&only=slow", 0), ("?only=nonsense&type=x", 0)],
)  # fmt: skip
def test_the_list_is_filtered(bench, redis_client, asked, number):
    write(
        redis_client,
        [
            (trace_id(1), request(path="/a/", tenant="test2")),
            (trace_id(2), request(path="/b/", ms=900.0)),
            (trace_id(3), request(path="/c/", status=500)),
        ],
    )
    page = bench.get(f"/workbench/traces/{asked}").content.decode()
    assert page.count('<td class="path">') == number


def test_an_id_in_the_field_of_the_list_leads_to_its_trace(bench, redis_client):
    write(redis_client, [(trace_id(1), request())])
    answer = bench.get(f"/workbench/traces/?text={trace_id(1)}")
    assert answer["Location"] == f"/workbench/traces/{trace_id(1)}/"


# --- one trace -------------------------------------------------------------------------------


def test_callers_are_above_what_they_called():
    found = arrange(Trace("1", [span(3, 2), span(1), span(2, 1), span(9, 8)]))
    assert [(row.span["span"][-1], row.depth) for row in found.rows] == [
        ("1", 0), ("2", 1), ("3", 2), ("9", 0),
    ]  # fmt: skip


def test_a_query_that_repeats_in_one_request_is_pointed_out():
    same = [query(n, "SELECT * FROM a WHERE id = %s") for n in range(2, 6)]
    lists = [query(n, f"SELECT * FROM b WHERE id IN ({', '.join(['%s'] * n)})") for n in (6, 7, 8)]
    other = [query(9, "SELECT 1"), query(10, "SELECT 1")]
    found = arrange(Trace("1", [request(), *same, *lists, *other]))
    assert [(one.times, one.sql) for one in found.repeated] == [
        (4, "SELECT * FROM a WHERE id = %s"),
        (3, "SELECT * FROM b WHERE id IN (…)"),
    ]


def test_clocks_that_differ_are_named():
    found = arrange(Trace("1", [span(1, at=1000.0), span(2, 1, at=999.0)]))
    (early,) = (row for row in found.rows if row.early)
    assert "the clocks differ" in dict(early.facts)["began"]


def test_a_chain_of_spans_of_any_length_is_arranged():
    found = arrange(Trace("1", [span(n, n - 1) for n in range(1, 5000)]))
    assert len(found.rows) + found.hidden == 4999


@pytest.mark.django_db
def test_a_request_is_shown_with_queries_log_and_tenant(bench, kept, as_tenant_request):
    answer = as_tenant_request("/api/v1/nosuch/")
    kept()
    page = bench.get(f"/workbench/traces/{answer['X-Request-ID']}/").content.decode()
    assert "GET /api/v1/nosuch/ 404" in page
    assert "test2" in page
    assert "Explain" in page


@pytest.fixture
def as_tenant_request(bench):
    def ask(path: str):
        forget()  # so that its first query finds the tenant
        return bench.get(path, headers={"host": "test2.localhost"})

    return ask


@pytest.mark.django_db
def test_a_slow_query_is_explained_as_the_role_of_its_tenant(bench, redis_client):
    slow = query(2, 'SELECT "email" FROM "users_user" WHERE "email" = %s LIMIT ?', ms=99.0)
    write(redis_client, [(trace_id(1), request()), (trace_id(1), slow)])
    page = bench.get(f"/workbench/traces/{trace_id(1)}/").content.decode()
    plan = bench.get(f"/workbench/traces/{trace_id(1)}/plan/{2:016x}/").content.decode()
    assert "! slow" in page
    assert "Scan" in plan
    assert "$1" in plan


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT 1; DELETE FROM users_user", "more than one statement"),
        ("TRUNCATE users_user", "has plans for"),
        ("SELECT * FROM test2.users_user", "permission denied"),
        ("SELECT nothing", "does not exist"),
    ],
)
def test_no_other_statement_is_run_to_explain_it(bench, redis_client, sql, why):
    User.objects.create_user("ann@example.com")
    write(redis_client, [(trace_id(1), request()), (trace_id(1), query(2, sql))])
    page = bench.get(f"/workbench/traces/{trace_id(1)}/plan/{2:016x}/").content.decode()
    assert why in page
    assert User.objects.count() == 1


def test_what_a_span_says_is_text_in_the_page(bench, redis_client):
    events = [{"name": "log", "level": "info", "text": "<script>alert(1)</script>"}]
    write(redis_client, [(trace_id(1), request()), (trace_id(1), span(2, 1, events=events))])
    page = bench.get(f"/workbench/traces/{trace_id(1)}/").content.decode()
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page


# --- the terminal ----------------------------------------------------------------------------


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("trace", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_a_trace_and_lists_them(redis_client):
    assert "no trace is kept yet" in printed()
    same = [query(n, "SELECT 1") for n in (2, 3, 4)]
    write(redis_client, [(trace_id(1), one) for one in (request(), *same)])

    assert trace_id(1) in printed()
    assert "! one query 3 times" in printed("--last")
    assert "none took" in printed("--slow")
    assert json.loads(printed(trace_id(1), "--json"))["trace"] == trace_id(1)
    with pytest.raises(CommandError, match="no trace of nonsense is kept"):
        printed("nonsense")


def test_the_error_page_links_to_the_trace(monkeypatch):
    monkeypatch.setattr("workbench.error_pages.request_id", lambda: "885f725c")
    page = Reporter(RequestFactory().get("/"), ValueError, ValueError("x"), None)
    assert 'href="/workbench/traces/885f725c/"' in page.get_traceback_html()
    assert "./dev trace 885f725c" in page.get_traceback_text()
