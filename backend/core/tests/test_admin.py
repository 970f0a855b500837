"""Every model can be managed, and nothing that happened can be rewritten."""

from types import ModuleType

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import path, reverse
from django.utils.timezone import now
from django_tenants.utils import schema_context

from cart.services import add_item
from orders.models import Order
from orders.services import create_order
from products.models import Product
from products.tests.factories import make_product
from tenants.models import Tenant
from tickets.models import Attachment, Ticket
from tickets.services import open_ticket
from users.models import CognitoIdentity, User
from users.tokens import RefreshToken

pytestmark = pytest.mark.django_db


def address_of(model, page, *arguments):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


MODELS = [
    (model, model_admin)
    for model, model_admin in admin.site._registry.items()
    if model._meta.app_label in ("users", "products", "cart", "orders", "tickets")
]


def name_of(value):
    return value._meta.label_lower if isinstance(value, type) else ""


class AdminClient(Client):
    """A browser of a superuser; a request leaves the test in the tenant it was in."""

    def request(self, **kwargs):
        tenant = connection.tenant
        response = super().request(**kwargs)
        connection.set_tenant(tenant)
        return response


@pytest.fixture
def office(test1, empty_cache):
    client = AdminClient(headers={"host": "test1.localhost"})
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


@pytest.fixture
def things(ann, media):
    """Something of every kind, and several of what lists show."""
    for number in range(3):
        add_item(ann, make_product(f"P{number}", f"category-{number}").pk, 1)
        create_order(ann)
        ticket = open_ticket(ann, f"Ticket {number}", "Help")
        CognitoIdentity.objects.create(
            user=User.objects.create_user(f"person{number}@example.com"), subject=f"sub-{number}"
        )
        Attachment.objects.create(
            message=ticket.messages.get(), file="x.txt", name="x.txt", content_type="t", size=1
        )
    add_item(ann, make_product().pk, 1)
    for _ in range(3):
        RefreshToken.for_user(ann)


def act(client, model, action, *rows):
    address = address_of(model, "changelist")
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(address, chosen, follow=True)


@pytest.mark.parametrize(("model", "model_admin"), MODELS, ids=name_of)
def test_a_model_is_listed_searched_and_filtered(office, things, model, model_admin):
    address = address_of(model, "changelist")

    assert model_admin.search_fields
    for query in ("", "?q=x", "?q=%00", "?o=1"):
        assert office.get(address + query, follow=True).status_code == 200
    page = office.get(address)
    for name in page.context["cl"].filter_specs:
        for choice in name.choices(page.context["cl"]):
            assert office.get(address + choice["query_string"]).status_code == 200


@pytest.mark.parametrize(("model", "model_admin"), MODELS, ids=name_of)
def test_a_list_takes_as_many_queries_for_three_rows_as_for_one(
    office, things, model, model_admin, django_assert_max_num_queries
):
    address = address_of(model, "changelist")
    with django_assert_max_num_queries(10):
        office.get(address)


@pytest.mark.parametrize(("model", "model_admin"), MODELS, ids=name_of)
def test_a_row_is_opened(office, things, model, model_admin):
    row = model.objects.first()
    address = reverse(
        f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]
    )
    assert office.get(address).status_code == 200


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


# --- the operators' site ------------------------------------------------------------------


@pytest.fixture
def operations(empty_cache):
    """A browser of a superuser of the operators."""
    client = AdminClient(headers={"host": "public.localhost"})
    with schema_context("public"):
        client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def test_the_operators_admin_has_accounts_and_no_shop(operations):
    client = operations
    root = User.objects.get()
    page = client.get("/admin/").content.decode()

    assert "/admin/users/user/" in page
    for label in ("products", "cart", "orders", "tickets"):
        assert f"/admin/{label}/" not in page
    assert client.get("/admin/products/product/").status_code == 403
    # Looking for what would go with the account would meet tables that are not there.
    assert client.get(f"/admin/users/user/{root.pk}/delete/").status_code == 403


@pytest.fixture
def register(settings):
    """Return a function that serves a site with ordinary ModelAdmins, as `admin.site` is one."""

    def as_usual(*models, **attributes):
        site = type(admin.site._wrapped)()
        site.register(models, type("Usual", (admin.ModelAdmin,), attributes))
        settings.ROOT_URLCONF = ModuleType("urls")
        settings.ROOT_URLCONF.urlpatterns = [path("admin/", site.urls)]

    return as_usual


def test_an_ordinary_modeladmin_is_shown_where_its_table_is(operations, office, register):
    register(Product, Tenant)
    for model in (Product, Tenant):
        list_, add = address_of(model, "changelist"), address_of(model, "add")
        here, elsewhere = (office, operations) if model is Product else (operations, office)
        assert list_ in here.get("/admin/").content.decode()
        assert {here.get(page).status_code for page in (list_, add)} == {200}
        assert list_ not in elsewhere.get("/admin/").content.decode()
        assert {elsewhere.get(page).status_code for page in (list_, add)} == {403}


def test_an_inline_is_shown_where_its_table_is(operations, office, register):
    register(User, inlines=[type("Orders", (admin.TabularInline,), {"model": Order})])
    for client, has_orders in ((operations, False), (office, True)):
        with schema_context("test1" if has_orders else "public"):
            address = address_of(User, "change", User.objects.get().pk)
        page = client.get(address)
        assert page.status_code == 200
        formsets = page.context["inline_admin_formsets"]
        assert [formset.opts.model for formset in formsets] == [Order] * has_orders


def test_nothing_is_deleted_where_its_dependents_cannot_be_found(operations, office, register):
    register(User)
    for client, schema, status in ((operations, "public", 403), (office, "test1", 200)):
        with schema_context(schema):
            address = address_of(User, "delete", User.objects.get().pk)
        assert client.get(address).status_code == status
