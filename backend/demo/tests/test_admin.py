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


def product_form(office, product) -> dict:
    """Return what the page of a product sends back when nothing is changed."""
    page = office.get(reverse("admin:products_product_change", args=[product.pk]))
    form = page.context["adminform"].form
    sent = [field for field in form if field.name != "image" and field.value() not in (None, False)]
    values = {field.html_name: field.value() for field in sent}
    seen = {field.html_initial_name: field.value() for field in sent}
    return values | {name: seen[name] for name in seen if name in page.content.decode()}


def save(office, product, form):
    return office.post(reverse("admin:products_product_change", args=[product.pk]), form)


def test_a_product_is_edited_while_it_sells(office):
    product = make_product(stock=10)
    form = product_form(office, product) | {"name": "Another name"}
    Product.objects.update(stock=7)
    assert save(office, product, form).status_code == 302
    product.refresh_from_db()
    assert (product.name, product.stock) == ("Another name", 7)


def test_a_stock_that_orders_changed_meanwhile_is_not_set(office):
    product = make_product(stock=10)
    form = product_form(office, product) | {"stock": 20}
    Product.objects.update(stock=7)
    assert "It is 7 by now" in save(office, product, form).content.decode()
    product.refresh_from_db()
    assert product.stock == 7

    assert save(office, product, product_form(office, product) | {"stock": 20}).status_code == 302
    product.refresh_from_db()
    assert product.stock == 20


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


def answer(office, ticket):
    address = reverse("admin:tickets_ticket_change", args=[ticket.pk])
    form = {"messages-TOTAL_FORMS": 2, "messages-INITIAL_FORMS": 1, "messages-1-body": "An answer"}
    form |= {"messages-0-id": ticket.messages.get().pk, "messages-0-ticket": ticket.pk}
    return office.post(address, form)


def test_a_ticket_that_is_closed_meanwhile_keeps_the_answer_on_the_page(office, things):
    ticket = Ticket.objects.first()
    Ticket.objects.update(status="closed")
    page = answer(office, ticket)
    assert (page.status_code, ticket.messages.count()) == (200, 1)
    assert "The ticket is closed" in page.content.decode()
    assert "An answer" in page.content.decode()


def test_a_ticket_is_answered(office, things):
    ticket = Ticket.objects.first()
    assert answer(office, ticket).status_code == 302
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
