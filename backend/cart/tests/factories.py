"""Carts for tests of any application."""

from cart.models import Cart, CartItem
from users.models import User


def make_example(user: User, pk: int) -> None:
    """Create what generated requests ask for: core/tests/test_conformance.py."""
    cart = Cart.objects.create(user=user)
    CartItem.objects.create(pk=pk, cart=cart, product_id=pk, quantity=1)
