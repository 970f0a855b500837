"""Tenants with many rows: what `./dev bench growth` measures with."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django_tenants.utils import tenant_context

from cart.models import Cart
from products.models import Category, Product
from tenants.locks import exclusive_lock
from tenants.migration import stamp
from tenants.models import Tenant
from tenants.provisioning import provision
from tenants.release import TENANTS_A_CONNECTION, start_afresh
from tenants.services import create_tenant
from users.models import User
from users.tokens import AccessToken

PRODUCTS = """
INSERT INTO products_product
    (sku, name, description, category_id, price, currency, stock, image, is_active, updated_at)
SELECT 'GROWN-' || number, (ARRAY['Oak', 'Steel', 'Linen', 'Cork'])[number %% 4 + 1] || ' bowl',
       'Model ' || number, %(category)s, number %% 9000 + 1, 'EUR', 1000000, '', true, now()
FROM generate_series(%(first)s, %(last)s) AS number
"""
ORDERS = """
WITH made AS (
    INSERT INTO orders_order
        (number, user_id, status, currency, total, idempotency_key, created_at,
         confirmation_sent_at)
    SELECT 'G-' || number, %(user)s, 'paid', 'EUR', 10, '', now(), now()
    FROM generate_series(%(first)s, %(last)s) AS number RETURNING id
)
INSERT INTO orders_orderitem (order_id, product_id, sku, name, unit_price, quantity)
SELECT id, %(product)s, 'GROWN-1', 'Oak bowl', 10, 1 FROM made
"""


class Command(BaseCommand):
    help = "Make tenants up to a number, each with so many products and orders; print buyers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenants", type=int, required=True)
        parser.add_argument("--rows", type=int, required=True)
        parser.add_argument("--buyers", type=int, required=True, help="of each tenant, or none")
        parser.add_argument(
            "--like",
            nargs=2,
            metavar=("TENANT", "FILE"),
            help="make them as copies of this tenant, which pg_dump has written to FILE",
        )

    def handle(
        self,
        *args: Any,
        tenants: int,
        rows: int,
        buyers: int,
        like: tuple[str, str] | None,
        **options: Any,
    ) -> None:
        names = [f"grown{number:04}" for number in range(Tenant.objects.count(), tenants)]
        if like:
            copy(like[0], Path(like[1]).read_text(encoding="utf-8"), names)
        else:
            for name in names:
                create_tenant(name)
        if buyers:
            self._fill(rows, buyers)

    def _fill(self, rows: int, buyers: int) -> None:
        found = []
        for tenant in Tenant.objects.all():
            with tenant_context(tenant), transaction.atomic():
                found.append([tenant.schema_name, *fill(rows, buyers)])
            if len(found) % 20 == 0:
                connection.close()  # it remembers every table that it has seen
        connection.set_schema_to_public()
        self.stdout.write(json.dumps(found))


def copy(like: str, dump: str, names: list[str]) -> None:
    """Make tenants with the schema of another; without the time that migrations take."""
    _, _, body = dump.partition(f"CREATE SCHEMA {like};\n")
    body = re.sub(r"^(SET |\\).*\n", "", body, flags=re.MULTILINE)
    expected = relations(like)
    with exclusive_lock():
        for number, name in enumerate(names, start=1):
            tenant = Tenant.objects.create(schema_name=name, name=name, migrations_stamp=stamp())
            provision(tenant)
            with tenant_context(tenant), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(body.replace(f"{like}.", f"{name}."))
            if relations(name) != expected:
                raise CommandError(f"{name} is no copy of {like}")
            if number % TENANTS_A_CONNECTION == 0:
                start_afresh()


def relations(schema: str) -> set[tuple[str, str]]:
    """Return names and kinds of the tables, indexes and sequences of a schema."""
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relkind FROM pg_class WHERE relnamespace = to_regnamespace(%s)",
            [schema],
        )
        return set(cursor.fetchall())


def fill(rows: int, buyers: int) -> tuple[int, list[str]]:
    """Have so many products and orders in this tenant; return a product and the buyers' tokens."""
    category, _ = Category.objects.get_or_create(slug="grown", defaults={"name": "Grown"})
    emails = [f"buyer{number}@example.com" for number in range(buyers)]
    User.objects.bulk_create([User(email=email) for email in emails], ignore_conflicts=True)
    users = list(User.objects.filter(email__in=emails))
    Cart.objects.bulk_create([Cart(user=user) for user in users], ignore_conflicts=True)
    there = Product.objects.filter(category=category).count()
    span = {"first": there + 1, "last": rows, "category": category.pk, "user": users[0].pk}
    with connection.cursor() as cursor:
        if there < rows:
            cursor.execute(PRODUCTS, span)
        product = Product.objects.filter(category=category).earliest("pk").pk
        if there < rows:
            cursor.execute(ORDERS, span | {"product": product})
            cursor.execute("ANALYZE products_product, orders_order, orders_orderitem")
    return product, [token(user) for user in users]


def token(user: User) -> str:
    """Return the token of a log-in that lasts as long as the benchmark may."""
    made = AccessToken.for_user(user)
    made.set_exp(lifetime=timedelta(hours=12))
    return str(made)
