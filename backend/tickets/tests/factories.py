"""Tickets for tests of any application."""

from tickets.models import Ticket
from users.models import User


def make_example(user: User, pk: int) -> None:
    """Create what generated requests ask for: core/tests/test_conformance.py."""
    Ticket.objects.create(pk=pk, user=user, subject="Help")
