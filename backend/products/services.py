"""The catalogue's rules: what is shown, what can be taken from stock, what is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast
from uuid import uuid4

from django.core.cache import cache
from django.db import transaction
from django.db.models import QuerySet

from core.errors.problem_details import Conflict
from products.models import SHOWN, Product

LIST_SECONDS = 60  # how long a list is remembered; changes are seen at once all the same
VERSION_KEY = "products:version"

Page = TypeVar("Page")


class OutOfStock(Conflict):
    """Fewer pieces are left than were asked for."""

    def __init__(self, product: Product) -> None:
        left = product.stock if product.is_active else 0
        super().__init__(f"Only {left} of {product.name!r} left.")


class NoLongerSold(Conflict):
    """A product of a cart was deleted."""

    def __init__(self) -> None:
        super().__init__("A product in the cart is no longer sold; look at the cart again.")


def visible_products() -> QuerySet[Product]:
    """Return what customers see; the category comes with it, the search vector does not."""
    return Product.objects.filter(SHOWN).select_related("category").defer("search")


def check_stock(product: Product, quantity: int) -> None:
    """Check that so many pieces can be ordered now.

    Raises:
        OutOfStock: if not.
    """
    if not product.is_active or product.stock < quantity:
        raise OutOfStock(product)


def take_from_stock(quantities: dict[int, int]) -> dict[int, Product]:
    """Take pieces of several products, all or none; in the caller's transaction.

    The rows stay locked until it ends, so that two buyers never get the last piece. They are
    locked in one order, so that two buyers never wait for each other.

    Args:
        quantities: pieces by product id.

    Returns:
        The products by id, with the stock that is left.

    Raises:
        OutOfStock: naming the first that cannot be had.
        NoLongerSold: when one was deleted.
    """
    rows = Product.objects.select_for_update().filter(pk__in=quantities).order_by("pk")
    products = {product.pk: product for product in rows.defer("search")}
    if products.keys() != quantities.keys():
        raise NoLongerSold
    for pk, product in products.items():
        check_stock(product, quantities[pk])
        product.stock -= quantities[pk]
    _save_stock(products.values())
    return products


def return_to_stock(quantities: dict[int, int]) -> None:
    """Give pieces back, as of a cancelled order; in the caller's transaction."""
    rows = Product.objects.select_for_update().filter(pk__in=quantities).order_by("pk")
    products = list(rows.defer("search"))
    for product in products:
        product.stock += quantities[product.pk]
    _save_stock(products)


def _save_stock(products: Iterable[Product]) -> None:
    Product.objects.bulk_update(products, ["stock"])
    forget_lists()


# --- lists, remembered --------------------------------------------------------------------


def remembered(key: str, load: Callable[[], Page]) -> Page:
    """Return what `load` returns, from the tenant's cache while no product has changed.

    The version is read before the rows: what is loaded while they change is stored under a
    version that is no longer taken.
    """
    key = f"products:{key}"
    read = cache.get_many([VERSION_KEY, key])
    version = read.get(VERSION_KEY) or cache.get_or_set(
        VERSION_KEY, lambda: uuid4().hex, timeout=None
    )
    of_version, page = read.get(key, (None, None))
    if of_version != version:
        page = load()
        cache.set(key, (version, page), timeout=LIST_SECONDS)
    return cast("Page", page)


def forget_lists() -> None:
    """Forget every remembered list of this tenant, as soon as the change is visible."""
    transaction.on_commit(lambda: cache.set(VERSION_KEY, uuid4().hex, timeout=None), robust=True)
