"""An order is made once, whole or not at all, and its owner alone sees it."""

import re
from datetime import timedelta
from decimal import Decimal
from smtplib import SMTPServerDisconnected

import pytest
from django.core import mail
from django.utils import timezone
from django_tenants.utils import schema_context

from cart.models import MAX_TOTAL
from cart.services import add_item
from core.celery import app
from orders.models import Order, new_number
from orders.services import ImpossibleChange, change_status, create_order, send_confirmation
from orders.tasks import send_confirmation as send_confirmation_task
from products.models import Product
from products.tests.factories import make_product

pytestmark = pytest.mark.django_db

CREATE = "/api/orders/create/"


@pytest.fixture
def sent_tasks(monkeypatch):
    """Collect the arguments of confirmations that are sent to the broker."""
    sent = []
    monkeypatch.setattr(send_confirmation_task, "delay", sent.append)
    return sent


@pytest.fixture
def mug(test1):
    return make_product("MUG", price=Decimal("12.50"), stock=10)


@pytest.fixture
def order(ann, mug) -> Order:
    add_item(ann, mug.pk, 2)
    return create_order(ann)[0]


def stock_of(product) -> int:
    return Product.objects.values_list("stock", flat=True).get(pk=product.pk)


# --- from a cart to an order ---------------------------------------------------------------


def test_an_order_takes_the_cart_the_prices_and_the_stock(as_ann, ann, mug):
    add_item(ann, mug.pk, 2)
    response = as_ann.post(CREATE)
    body = response.json()

    assert response.status_code == 201
    assert body["total"] == "25.00"
    assert body["currency"] == "EUR"
    assert body["status"] == "pending"
    assert body["items"] == [
        {
            "product": mug.pk,
            "sku": "MUG",
            "name": "A mug",
            "unit_price": "12.50",
            "quantity": 2,
            "total": "25.00",
        }
    ]
    assert [change["status"] for change in body["history"]] == ["pending"]
    assert stock_of(mug) == 8
    assert as_ann.get("/api/cart/").json()["items"] == []


def test_an_orders_price_stays_when_the_products_changes(order, mug, as_ann):
    Product.objects.filter(pk=mug.pk).update(price=99, name="Dear mug")
    body = as_ann.get(f"/api/orders/{order.pk}/").json()

    assert (body["total"], body["items"][0]["name"]) == ("25.00", "A mug")


def test_an_empty_cart_cannot_be_ordered(as_ann):
    response = as_ann.post(CREATE)

    assert response.status_code == 409
    assert response.json()["detail"] == "The cart is empty."


def test_when_one_product_is_sold_out_nothing_is_ordered(as_ann, ann, mug):
    pen = make_product("PEN", stock=1)
    add_item(ann, mug.pk, 1)
    add_item(ann, pen.pk, 1)
    Product.objects.filter(pk=pen.pk).update(stock=0)

    assert as_ann.post(CREATE).status_code == 409
    assert not Order.objects.exists()
    assert stock_of(mug) == 10
    assert len(as_ann.get("/api/cart/").json()["items"]) == 2


def test_one_order_has_one_currency(as_ann, ann, mug):
    add_item(ann, mug.pk, 1)
    add_item(ann, make_product("PEN", currency="USD").pk, 1)

    assert as_ann.post(CREATE).status_code == 409
    assert stock_of(mug) == 10


def test_a_product_hidden_meanwhile_cannot_be_ordered(as_ann, ann, mug):
    add_item(ann, mug.pk, 1)
    Product.objects.filter(pk=mug.pk).update(is_active=False)
    assert as_ann.post(CREATE).status_code == 409


def test_the_same_key_gives_the_same_order(as_ann, ann, mug):
    add_item(ann, mug.pk, 1)
    first = as_ann.post(CREATE, headers={"idempotency-key": "k1"})
    add_item(ann, mug.pk, 1)
    again = as_ann.post(CREATE, headers={"idempotency-key": "k1"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert Order.objects.count() == 1
    assert len(as_ann.get("/api/cart/").json()["items"]) == 1


def test_the_same_key_with_other_items_is_refused(as_ann, ann, mug):
    add_item(ann, mug.pk, 1)
    first = as_ann.post(CREATE, headers={"idempotency-key": "k1"})
    emptied = as_ann.post(CREATE, headers={"idempotency-key": "k1"})
    add_item(ann, mug.pk, 2)
    other = as_ann.post(CREATE, headers={"idempotency-key": "k1"})

    assert (first.status_code, emptied.status_code, other.status_code) == (201, 200, 422)
    assert other["Content-Type"] == "application/problem+json"
    assert Order.objects.count() == 1
    assert len(as_ann.get("/api/cart/").json()["items"]) == 1


def test_prices_that_rose_beyond_what_an_order_holds_are_refused(as_ann, ann):
    for sku in ("GOLD", "PALLADIUM"):
        add_item(ann, make_product(sku, stock=99).pk, 99)
    Product.objects.update(price=Decimal("99999999.99"))

    assert as_ann.get("/api/cart/").json()["totals"][0]["amount"] == "19799999998.02"
    assert as_ann.post(CREATE).status_code == 409


def test_the_cart_and_the_order_have_one_limit():
    field = Order._meta.get_field("total")
    assert Decimal(10) ** (field.max_digits - field.decimal_places) - Decimal("0.01") == MAX_TOTAL


def test_the_same_key_of_another_user_is_another_order(as_ann, as_bob, ann, bob, mug):
    for user, client in ((ann, as_ann), (bob, as_bob)):
        add_item(user, mug.pk, 1)
        assert client.post(CREATE, headers={"idempotency-key": "k1"}).status_code == 201


def test_a_key_that_is_too_long_is_refused(as_ann):
    assert as_ann.post(CREATE, headers={"idempotency-key": "k" * 256}).status_code == 400


def test_an_order_takes_as_many_queries_for_ten_products_as_for_one(
    as_ann, ann, django_assert_max_num_queries
):
    for number in range(10):
        add_item(ann, make_product(f"P{number}").pk, 1)
    with django_assert_max_num_queries(18):
        assert as_ann.post(CREATE).status_code == 201


# --- list, detail -------------------------------------------------------------------------


def test_an_owner_sees_the_order(as_ann, order):
    assert [found["number"] for found in as_ann.get("/api/orders/").json()["results"]] == [
        order.number
    ]
    assert as_ann.get(f"/api/orders/{order.pk}/").json()["number"] == order.number


@pytest.mark.parametrize("path", ["{}/", "{}/csv/"])
def test_another_users_order_is_not_found(as_bob, order, path):
    assert as_bob.get("/api/orders/").json()["results"] == []
    assert as_bob.get(f"/api/orders/{path.format(order.pk)}").status_code == 404
    assert as_bob.get(f"/api/orders/{path.format(10**30)}").status_code == 404


def test_a_detail_takes_four_queries(as_ann, order, django_assert_num_queries):
    with django_assert_num_queries(4):  # the user, the order, its items, its history
        as_ann.get(f"/api/orders/{order.pk}/")


def test_numbers_do_not_repeat():
    assert len({Order().number for _ in range(1000)}) == 1000


# --- status -------------------------------------------------------------------------------


def test_an_order_goes_its_way_and_remembers_it(order, bob):
    for status in ("paid", "shipped", "delivered"):
        change_status(order, status, bob)

    assert list(order.history.values_list("status", "by__email")) == [
        ("pending", "ann@example.com"),
        ("paid", "bob@example.com"),
        ("shipped", "bob@example.com"),
        ("delivered", "bob@example.com"),
    ]


@pytest.mark.parametrize("status", ["shipped", "delivered", "pending", "nonsense"])
def test_no_step_is_skipped_or_repeated(order, status):
    with pytest.raises(ImpossibleChange):
        change_status(order, status)
    assert order.history.count() == 1


def test_a_cancelled_order_gives_its_pieces_back_once(order, mug):
    change_status(order, "cancelled")
    assert stock_of(mug) == 10
    with pytest.raises(ImpossibleChange):
        change_status(order, "cancelled")
    assert stock_of(mug) == 10


# --- confirmation -------------------------------------------------------------------------


def test_a_confirmation_is_sent_once_the_order_is_committed(
    as_ann, ann, mug, sent_tasks, django_capture_on_commit_callbacks
):
    add_item(ann, mug.pk, 1)
    with django_capture_on_commit_callbacks(execute=True):
        body = as_ann.post(CREATE).json()
        assert sent_tasks == []
    assert sent_tasks == [body["number"]]


def test_an_order_that_fails_sends_nothing(as_ann, sent_tasks, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        as_ann.post(CREATE)
    assert sent_tasks == []


def test_an_order_stands_when_the_broker_is_down(
    as_ann, ann, mug, monkeypatch, django_capture_on_commit_callbacks
):
    def refuse(number):
        raise ConnectionError("no broker")

    monkeypatch.setattr(send_confirmation_task, "delay", refuse)
    add_item(ann, mug.pk, 1)
    with django_capture_on_commit_callbacks(execute=True):
        assert as_ann.post(CREATE).status_code == 201


def test_the_confirmation_says_what_was_ordered(order):
    assert send_confirmation(order.number)
    (message,) = mail.outbox

    assert message.to == ["ann@example.com"]
    assert order.number in message.subject
    assert "2 x A mug (MUG): 25.00 EUR" in message.body


def test_a_confirmation_is_sent_exactly_once(order):
    results = [send_confirmation_task.apply([order.number]).get() for _ in range(3)]

    assert results == [True, False, False]
    assert len(mail.outbox) == 1


def test_a_confirmation_that_is_sent_twice_has_one_message_id(order):
    """As by a worker that dies before it can commit that it was sent."""
    for _ in range(2):
        send_confirmation(order.number)
        Order.objects.update(confirmation_sent_at=None)
    identities = [message.message()["Message-ID"] for message in mail.outbox]

    assert len(identities) == 2
    assert len(set(identities)) == 1
    assert re.fullmatch(r"<\w+@\S+>", identities[0])


def test_a_mail_server_that_refuses_is_asked_again(order, monkeypatch):
    failures = [SMTPServerDisconnected("away"), ConnectionRefusedError("still away")]

    def send(message):
        if failures:
            raise failures.pop(0)
        return mail.EmailMessage.send(message)

    message = type("Message", (mail.EmailMessage,), {"send": send})
    monkeypatch.setattr("orders.services.EmailMessage", message)
    assert send_confirmation_task.apply([order.number]).get()
    assert len(mail.outbox) == 1


def test_retries_wait_longer_each_time():
    task = app.tasks["orders.send_confirmation"]
    assert (task.retry_backoff, task.max_retries) == (5, 10)
    # A task that waits longer is handed out a second time.
    assert task.retry_backoff_max < app.conf.broker_transport_options["visibility_timeout"]


def test_a_confirmation_is_sent_in_its_own_tenant(order):
    with schema_context("test2"), pytest.raises(Order.DoesNotExist):
        send_confirmation_task.apply([order.number]).get()


def test_a_task_sends_nothing_for_a_later_order_with_the_id_of_its_own(order):
    """As after a restored snapshot, or a sequence that was set back."""
    Order.objects.update(number=new_number())
    with pytest.raises(Order.DoesNotExist):
        send_confirmation_task.apply([order.number]).get()
    assert mail.outbox == []


# --- CSV ----------------------------------------------------------------------------------


def csv_of(client, path):
    response = client.get(path)
    assert response.streaming
    return response, b"".join(response.streaming_content).decode().splitlines()


def test_an_order_is_a_table(as_ann, order):
    response, lines = csv_of(as_ann, f"/api/orders/{order.pk}/csv/")

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert f"order-{order.number}.csv" in response["Content-Disposition"]
    assert lines[0] == (
        "order,date,status,sku,name,quantity,unit price,line total,order total,currency"
    )
    assert lines[1].startswith(f"{order.number},{order.created_at:%Y-%m-%d}T")
    assert lines[1].endswith("pending,MUG,A mug,2,12.50,25.00,25.00,EUR")


def test_all_orders_are_a_table_of_the_users_own(as_ann, as_bob, ann, bob, mug):
    for user in (ann, ann, bob):
        add_item(user, mug.pk, 1)
        create_order(user)

    assert len(csv_of(as_ann, "/api/orders/csv/")[1]) == 1 + 2
    assert len(csv_of(as_bob, "/api/orders/csv/")[1]) == 1 + 1


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1", "=cmd|'/c calc'!A0"]
)
def test_a_cell_that_looks_like_a_formula_is_neutralised(as_ann, ann, name):
    add_item(ann, make_product("EVIL", name=name).pk, 1)
    order = create_order(ann)[0]
    _response, lines = csv_of(as_ann, f"/api/orders/{order.pk}/csv/")

    assert f",EVIL,'{name}," in lines[1]


def test_quotes_commas_and_unicode_survive(as_ann, ann):
    add_item(ann, make_product("ODD", name='Ün "odd", 杯').pk, 1)
    order = create_order(ann)[0]
    assert ',"Ün ""odd"", 杯",' in csv_of(as_ann, f"/api/orders/{order.pk}/csv/")[1][1]


def test_a_table_takes_the_same_queries_for_many_orders(
    as_ann, ann, mug, django_assert_num_queries
):
    for _ in range(5):
        add_item(ann, mug.pk, 1)
        create_order(ann)
    with django_assert_num_queries(2):  # the user, the items with their orders
        csv_of(as_ann, "/api/orders/csv/")


def test_a_cancelled_order_is_not_confirmed(order, sent_tasks):
    order.created_at = timezone.now() - timedelta(hours=1)
    order.status = Order.Status.CANCELLED
    order.save()
    assert app.tasks["orders.send_missing_confirmations"].apply().get() == 0
    assert send_confirmation(order.number) is False
    assert mail.outbox == []


@pytest.mark.parametrize(("age", "is_sent"), [(60, False), (1900, True), (86400 * 3, False)])
def test_a_forgotten_confirmation_is_sent_later(order, sent_tasks, age, is_sent):
    order.created_at = timezone.now() - timedelta(seconds=age)
    order.save()
    assert app.tasks["orders.send_missing_confirmations"].apply().get() == int(is_sent)
    assert sent_tasks == [order.number] * is_sent
    Order.objects.update(confirmation_sent_at=timezone.now())
    assert app.tasks["orders.send_missing_confirmations"].apply().get() == 0
