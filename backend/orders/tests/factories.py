"""Orders for tests of any application."""

from orders.models import Order
from users.models import User


def make_example(user: User, pk: int) -> None:
    """Create what generated requests ask for: core/tests/test_conformance.py."""
    Order.objects.create(pk=pk, user=user, currency="EUR", total=1)
