"""Rows for tests of any application."""

from typing import Any

from development.notes.models import Note
from users.models import User


def make_note(user: User, **fields: Any) -> Note:
    """Create one in the current tenant."""
    values = {"title": "A title", "text": "Some text", **fields}
    return Note.objects.create(user=user, **values)


def make_example(user: User, pk: int) -> None:
    """Create what generated requests ask for: core/tests/test_conformance.py."""
    make_note(user, pk=pk)
