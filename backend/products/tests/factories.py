"""Products for tests of any application."""

from decimal import Decimal
from typing import Any

from products.models import Category, Product
from users.models import User


def make_product(sku: str = "MUG", category: str = "kitchen", **fields: Any) -> Product:
    """Create a product of a category, in the current tenant."""
    found, _ = Category.objects.get_or_create(slug=category, name=category.capitalize())
    values = {"name": f"A {sku.lower()}", "price": Decimal("12.50"), "stock": 10, **fields}
    return Product.objects.create(sku=sku, category=found, **values)


def make_example(user: User, pk: int) -> None:
    """Create what generated requests ask for: core/tests/test_conformance.py."""
    make_product(pk=pk, stock=1000)
