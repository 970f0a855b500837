"""Notes of users, each with an optional file."""

from __future__ import annotations

from pathlib import PurePath
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.utils import timezone


def path_of(note: Note, name: str) -> str:
    """Return the path of a file: a random name with the file's extension."""
    return f"notes/{uuid4().hex}{PurePath(name).suffix.lower()}"


class Note(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    title = models.CharField(max_length=200)
    text = models.TextField()
    words = models.PositiveIntegerField(null=True, editable=False, help_text="Counted by a task.")
    file = models.FileField(upload_to=path_of, max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.title
