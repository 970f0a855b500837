"""The cart's rules."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from cart.models import MAX_QUANTITY, MAX_TOTAL, Cart, CartItem
from core.errors.problem_details import Conflict
from products.models import Product
from products.services import check_stock, visible_products
from users.models import User


class TooMany(Conflict):
    """More pieces of one product than a cart holds."""

    def __init__(self, product: Product) -> None:
        super().__init__(f"A cart holds {MAX_QUANTITY} of {product.name!r} at most.")


class TooExpensive(Conflict):
    """A higher total than an order can hold."""

    def __init__(self) -> None:
        super().__init__(f"One order can be {MAX_TOTAL} at most.")


def items_of(user: User) -> QuerySet[CartItem]:
    """Return the user's items with their products; none if there is no cart yet."""
    items = CartItem.objects.filter(cart__user=user)
    return items.select_related("product").defer("product__search")


def totals_of(items: Iterable[CartItem]) -> dict[str, Decimal]:
    """Return what the items cost, by currency."""
    totals: dict[str, Decimal] = {}
    for item in items:
        currency = item.product.currency
        totals[currency] = totals.get(currency, Decimal(0)) + item.total
    return totals


def check_totals(items: list[CartItem]) -> dict[str, Decimal]:
    """Return what the items cost, by currency.

    Raises:
        TooExpensive: when an order could not hold one of the totals.
    """
    totals = totals_of(items)
    if any(total > MAX_TOTAL for total in totals.values()):
        raise TooExpensive
    return totals


@transaction.atomic
def add_item(user: User, product: int, quantity: int) -> CartItem:
    """Put pieces of a product into the user's cart, beside those that are in it.

    Args:
        product: its id.
        quantity: pieces.

    Raises:
        Product.DoesNotExist: when customers do not see such a product.
        products.services.OutOfStock: when there are not so many.
        TooMany, TooExpensive: when a cart does not hold so many.
    """
    wanted = visible_products().get(pk=product)
    cart = locked_cart(user)
    item = cart.items.filter(product=wanted).first()
    if item is None:
        item = CartItem(cart=cart, product=wanted, quantity=0)
    return _set_quantity(user, item, wanted, item.quantity + quantity)


@transaction.atomic
def change_item(user: User, item_id: int, quantity: int) -> CartItem:
    """Set how many pieces of an item the cart holds.

    Raises:
        CartItem.DoesNotExist: when it is not in this user's cart.
        products.services.OutOfStock: when there are not so many.
        TooExpensive: when an order could not hold the total.
    """
    locked_cart(user)
    item = items_of(user).get(pk=item_id)
    return _set_quantity(user, item, item.product, quantity)


@transaction.atomic
def remove_item(user: User, item_id: int) -> None:
    """Take an item out of the user's cart.

    Raises:
        CartItem.DoesNotExist: when it is not in it.
    """
    cart = locked_cart(user)
    count, _by_model = cart.items.filter(pk=item_id).delete()
    if not count:
        raise CartItem.DoesNotExist


def locked_cart(user: User) -> Cart:
    """Return the user's cart, locked until the caller's transaction ends.

    Two requests of one user wait for each other here: quantities add up, and a cart is ordered
    once.
    """
    Cart.objects.get_or_create(user=user)
    return Cart.objects.select_for_update().get(user=user)


def _set_quantity(user: User, item: CartItem, product: Product, quantity: int) -> CartItem:
    if quantity > MAX_QUANTITY:
        raise TooMany(product)
    check_stock(product, quantity)
    item.quantity = quantity
    item.save()
    check_totals(list(items_of(user)))
    return item
