"""A task runs in the tenant that sent it, however it comes to run; by a real worker."""

import json
from datetime import timedelta

import pytest
from celery import chain, chord, group
from django.db import connection
from django.utils import timezone
from django_tenants.utils import schema_context

from core.celery import SENDER, app
from tenants.tests.faulty_site import STATE
from tenants.tests.tasks import (
    breaks,
    find_state,
    leave_block_open,
    leave_state,
    look,
    look_again,
    send_another,
)

TIMEOUT = 60  # seconds; a worker needs a fraction of one, on a busy machine several

pytestmark = pytest.mark.usefixtures("as_app", "one_account_each")


@pytest.fixture
def send(worker, queue):
    """Return a function that sends a signature from a tenant and waits for its result."""

    def run(tenant, signature, **options):
        with schema_context(tenant):
            sent = signature.apply_async(queue=queue, **options)
        return sent.get(timeout=TIMEOUT)

    return run


TENANTS = pytest.mark.parametrize("tenant", ["test1", "test2"])


@TENANTS
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (look.s, 1),
        (look_again.s, 1),
        (lambda: chain(look.s(), look.s(), look.s()), 3),
        (lambda: look.s().set(link=look.s()), 1),
    ],
    ids=["direct", "retried", "chained", "linked"],
)
def test_a_task_sees_its_tenant_only(send, tenant, make, expected):
    assert send(tenant, make()) == [[f"tenant_{tenant}", tenant]] * expected


@TENANTS
def test_a_scheduled_task_sees_its_tenant_only(send, tenant):
    expected = [[f"tenant_{tenant}", tenant]]
    assert send(tenant, look.s(), countdown=0.2) == expected
    assert send(tenant, look.s(), eta=timezone.now() + timedelta(seconds=0.2)) == expected


@TENANTS
def test_a_chord_and_its_callback_see_their_tenant_only(send, tenant):
    parts = [look.s() for _ in range(6)]
    answers = send(tenant, chord(group(parts), look.s()))
    assert answers == [[[f"tenant_{tenant}", tenant]]] * 6 + [[f"tenant_{tenant}", tenant]]


@TENANTS
def test_a_task_sent_by_a_task_sees_its_tenant_only(send, tenant, queue):
    child = app.AsyncResult(send(tenant, send_another.s(queue)))
    assert child.get(timeout=TIMEOUT) == [[f"tenant_{tenant}", tenant]]


def test_a_task_sent_by_name_sees_its_tenant_only(worker, queue):
    with schema_context("test2"):
        sent = app.send_task(look.name, queue=queue)
    assert sent.get(timeout=TIMEOUT) == [["tenant_test2", "test2"]]


def test_tasks_of_both_tenants_do_not_mix_even_when_some_break(worker, queue):
    sent = []
    for number in range(60):
        tenant = f"test{number % 2 + 1}"
        with schema_context(tenant):
            breaks.apply_async(queue=queue, ignore_result=True)
            sent.append((tenant, look.apply_async(queue=queue)))
    answers = [(tenant, result.get(timeout=TIMEOUT)) for tenant, result in sent]
    assert answers == [(tenant, [[f"tenant_{tenant}", tenant]]) for tenant, _ in answers]


def test_a_task_of_a_tenant_that_was_deleted_fails(send):
    with pytest.raises(LookupError, match="gone"):
        send("public", look.s(), headers={"_schema_name": "gone"})


# --- kept connections ---------------------------------------------------------------------

PROCESSES = 2  # of the worker, each with one connection


def test_a_connection_is_kept_from_task_to_task_and_nothing_in_its_session(send):
    backends = set()
    for _ in range(2 * PROCESSES):
        backends.add(send("test1", leave_state.s(len(STATE) - 1)))
        found, *seen, backend = send("test2", find_state.s())
        assert (found, seen) == ([], ["tenant_test2", "test2"])
        backends.add(backend)
    assert len(backends) <= PROCESSES


def test_a_transaction_that_a_task_left_open_ends_with_it(send):
    for _ in range(PROCESSES):
        send("test1", leave_state.s(len(STATE)))
        send("test1", leave_block_open.s())
    for tenant in ("test1", "test2") * PROCESSES:
        assert send(tenant, find_state.s())[:-1] == [[], f"tenant_{tenant}", tenant]


def test_a_task_after_its_connection_was_cut_gets_another_one(send):
    for _ in range(2 * PROCESSES):
        *_, backend = send("test1", find_state.s())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
        assert send("test2", look.s()) == [["tenant_test2", "test2"]]


def test_a_remembered_tenant_is_not_taken_for_the_next_of_its_name(send, another_of_the_same_name):
    with schema_context("test1"):
        of_the_first = {"_schema_name": "test1", SENDER: connection.tenant_identity}
    for _ in range(2 * PROCESSES):
        assert send("test1", look.s()) == [["tenant_test1", "test1"]]
    another_of_the_same_name("test1")
    for _ in range(PROCESSES):
        with pytest.raises(LookupError, match="test1"):
            send("public", look.s(), headers=of_the_first)
        assert send("test1", look.s()) == [["tenant_test1", "test1"]]


def test_a_task_without_a_tenant_cannot_read_the_operators_accounts(send):
    with pytest.raises(Exception, match="permission denied"):
        send("public", look.s())


@TENANTS
def test_log_lines_of_a_task_carry_its_tenant(send, worker, queue, tenant):
    with schema_context(tenant):
        sent = look.apply_async(queue=queue)
    sent.get(timeout=TIMEOUT)
    lines = [json.loads(line) for line in worker.read_text().splitlines() if sent.id in line]
    (own,) = [line for line in lines if line["event"] == "looking"]
    assert own["tenant"] == tenant
    assert {line["tenant"] for line in lines if line.get("task_id") == sent.id} == {tenant}
