"""Sample data for one tenant: the one whose schema is set."""

from __future__ import annotations

import secrets
from decimal import Decimal
from itertools import product as combinations
from typing import Any

from django.db import connection, transaction

from cart.services import add_item
from orders.models import Order
from orders.services import Status, change_status, create_order
from products.models import Category, Product
from products.services import forget_lists
from tickets.models import Ticket
from tickets.services import answer_ticket, open_ticket
from users.models import User

CATEGORIES = {
    "Kitchen": ("Mug", "Bowl", "Teapot", "Bread knife", "Chopping board"),
    "Office": ("Notebook", "Fountain pen", "Desk lamp", "Ruler", "Letter tray"),
    "Garden": ("Trowel", "Watering can", "Planter", "Bird house", "Pruning shears"),
    "Travel": ("Rucksack", "Bottle", "Travel pillow", "Map case", "Wash bag"),
}
MATERIALS = ("Oak", "Steel", "Linen", "Cork", "Enamel")
COLOURS = ("blue", "green", "red", "white", "black")
CATALOGUE = 40  # products of a tenant, unless more are asked for

ACCOUNTS: dict[str, dict[str, Any]] = {
    "admin@example.com": {"first_name": "Ada", "is_staff": True, "is_superuser": True},
    "staff@example.com": {"first_name": "Sam", "is_staff": True},
    "customer@example.com": {"first_name": "Carla", "last_name": "Customer"},
}


@transaction.atomic
def seed(size: int = CATALOGUE) -> dict[str, str]:
    """Fill the tenant with products, accounts, orders and a ticket; what is there stays.

    Args:
        size: how many sample products the tenant has afterwards, at least.

    Returns:
        The passwords of the accounts that were made now, by address. They are stored nowhere.
    """
    categories = [
        Category.objects.get_or_create(slug=name.lower(), defaults={"name": name})[0]
        for name in CATEGORIES
    ]
    _add_products(categories, size)
    passwords = _add_accounts()
    if "customer@example.com" in passwords:
        _add_history()
    forget_lists()
    return passwords


def _add_accounts() -> dict[str, str]:
    passwords = {}
    for email, fields in ACCOUNTS.items():
        if not User.objects.filter(email=email).exists():
            passwords[email] = secrets.token_urlsafe(9)
            User.objects.create_user(email, passwords[email], **fields)
    return passwords


def _add_products(categories: list[Category], size: int) -> None:
    """Add the products numbered up to `size` that are missing, by COPY: 100,000 take seconds."""
    there = set(
        Product.objects.filter(sku__startswith="DEMO-").values_list("sku", flat=True).iterator()
    )
    kinds = [
        (category, thing, material, colour)
        for colour, material, index in combinations(COLOURS, MATERIALS, range(5))
        for category in categories
        for thing in [CATEGORIES[category.name][index]]
    ]
    columns = "sku, name, description, category_id, price, currency, stock, image, is_active"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY products_product ({columns}, updated_at) FROM STDIN") as copy,
    ):
        for number in range(1, size + 1):
            sku = f"DEMO-{number:06}"
            if sku in there:
                continue
            category, thing, material, colour = kinds[(number * 7) % len(kinds)]
            copy.write_row(
                (
                    sku,
                    f"{material} {thing.lower()}, {colour}",
                    f"A {colour} {thing.lower()} of {material.lower()}. Model {number}.",
                    category.pk,
                    Decimal(number * 37 % 9900 + 100) / 100,
                    "EUR",
                    number * 13 % 200,
                    "",
                    True,
                    "now",
                )
            )


def _add_history() -> None:
    """Give the customer two orders, a cart and a ticket that the staff has answered."""
    customer = User.objects.get(email="customer@example.com")
    staff = User.objects.get(email="staff@example.com")
    wanted = list(Product.objects.filter(stock__gte=5).order_by("pk")[:5])
    for products in (wanted[:2], wanted[2:4]):
        for product in products:
            add_item(customer, product.pk, 2)
        order, _ = create_order(customer)
    Order.objects.filter(user=customer).update(confirmation_sent_at=order.created_at)
    for status in (Status.PAID, Status.SHIPPED):
        change_status(order, status, staff)
    add_item(customer, wanted[4].pk, 1)
    ticket: Ticket = open_ticket(customer, "Where is my order?", "It was shipped last week.")
    answer_ticket(staff, ticket.pk, "It should arrive tomorrow.")
