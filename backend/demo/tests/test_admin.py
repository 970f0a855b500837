"""Every model of the shop can be managed, and nothing that happened can be rewritten."""

import pytest
from django.urls import reverse
from django.utils.timezone import now

from cart.services import add_item
from core.tests.admin_pages import AdminPages, act, models_of, name_of
from orders.models import Order
from orders.services import create_order
from products.models import Product
from products.tests.factories import make_product
from tickets.models import Attachment, Ticket
from tickets.services import open_ticket
from users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def things(ann, media):
    """Something of every kind, and several of what lists show."""
    for number in range(3):
        add_item(ann, make_product(f"P{number}", f"category-{number}").pk, 1)
        create_order(ann)
        ticket = open_ticket(ann, f"Ticket {number}", "Help")
        Attachment.objects.create(
            message=ticket.messages.get(), file="x.txt", name="x.txt", content_type="t", size=1
        )
    add_item(ann, make_product().pk, 1)


@pytest.mark.parametrize("model", models_of("products", "cart", "orders", "tickets"), ids=name_of)
class TestPages(AdminPages):
    pass


def test_a_product_is_changed_and_lists_show_it(office, site, django_capture_on_commit_callbacks):
    make_product()
    assert site.get("/api/products/").json()["count"] == 1
    with django_capture_on_commit_callbacks(execute=True):
        act(office, Product, "hide", *Product.objects.all())
    assert site.get("/api/products/").json()["count"] == 0


def test_orders_are_moved_on_by_actions_and_nothing_is_skipped(office, things):
    order = Order.objects.first()

    assert "is paid" in act(office, Order, "mark_paid", order).content.decode()
    refused = act(office, Order, "mark_delivered", order).content.decode()
    assert "cannot become delivered" in refused
    assert list(order.history.values_list("status", "by__email")) == [
        ("pending", "ann@example.com"),
        ("paid", "root@example.com"),
    ]


def test_an_orders_totals_cannot_be_rewritten(office, things):
    order = Order.objects.first()
    address = reverse("admin:orders_order_change", args=[order.pk])
    office.post(address, {"total": "0.01", "status": "delivered"})
    order.refresh_from_db()

    assert (str(order.total), order.status) == ("12.50", "pending")
    assert office.get(reverse("admin:orders_order_add")).status_code == 403
    assert office.get(reverse("admin:orders_order_delete", args=[order.pk])).status_code == 403


def test_orders_are_downloaded_as_a_table(office, things):
    response = act(office, Order, "as_csv", *Order.objects.all())
    assert response["Content-Type"].startswith("text/csv")
    assert len(b"".join(response.streaming_content).splitlines()) == 1 + 3


def test_confirmations_that_were_not_sent_are_sent(office, things, monkeypatch):
    sent = []
    monkeypatch.setattr("orders.admin.send_confirmation.delay", sent.append)
    first, *others = Order.objects.all()
    Order.objects.filter(pk=first.pk).update(confirmation_sent_at=now())
    act(office, Order, "confirm", first, *others)

    assert sorted(sent) == sorted(order.number for order in others)


def test_a_ticket_is_answered(office, things):
    ticket = Ticket.objects.first()
    address = reverse("admin:tickets_ticket_change", args=[ticket.pk])
    form = {"messages-TOTAL_FORMS": 2, "messages-INITIAL_FORMS": 1, "messages-1-body": "An answer"}
    form |= {"messages-0-id": ticket.messages.get().pk, "messages-0-ticket": ticket.pk}
    assert office.post(address, form).status_code == 302
    ticket.refresh_from_db()

    assert ticket.status == "answered"
    assert ticket.messages.last().author.email == "root@example.com"


def test_tickets_are_closed(office, things):
    act(office, Ticket, "close", *Ticket.objects.all())
    assert set(Ticket.objects.values_list("status", flat=True)) == {"closed"}


def test_staff_without_the_right_gets_no_file(office, things):
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    office.force_login(clerk)
    address = reverse("admin:tickets_attachment_file", args=[Attachment.objects.first().pk])
    assert office.get(address).status_code == 403
