"""The business rules: who sees what, and how it changes."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from core.celery import send_task
from development.notes.models import Note
from users.models import User

# The names of the tasks. Tasks import services, so services send a task by its name.
COUNT_WORDS = "notes.count_words"
COUNT_MISSING_WORDS = "notes.count_missing_words"


def notes_for(user: User) -> QuerySet[Note]:
    """Return the rows that this user may see, newest first."""
    return Note.objects.filter(user=user)


@transaction.atomic
def create_note(user: User, **values: Any) -> Note:
    """Save it, and let the worker count its words."""
    note = Note.objects.create(user=user, **values)
    transaction.on_commit(lambda: send_task(COUNT_WORDS, note.pk), robust=True)
    return note


def count_words(note_id: int) -> None:
    """Count the words. A second run changes nothing: tasks may run twice."""
    for note in Note.objects.filter(pk=note_id):
        note.words = len(note.text.split())
        note.save(update_fields=["words"])


def count_missing_words() -> None:
    """Queue what no broker took when it was saved."""
    for pk in Note.objects.filter(words=None).values_list("pk", flat=True):
        send_task(COUNT_WORDS, pk)
