"""Support tickets: a conversation between a user and the staff."""

from __future__ import annotations

from pathlib import PurePath
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.utils import timezone


class Ticket(models.Model):
    class Status(models.TextChoices):
        OPEN = "open"
        ANSWERED = "answered"
        CLOSED = "closed"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="tickets")
    subject = models.CharField(max_length=200)
    status = models.CharField(max_length=20, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    personal_data = {"subject": "text"}

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.pk}: {self.subject}"


class Message(models.Model):
    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="messages")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    personal_data = {"body": "text"}

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.body[:50]


def path_of(attachment: Attachment, name: str) -> str:
    """Return the path of a file: a random name with the file's extension."""
    suffix = PurePath(name).suffix.lower()
    return f"tickets/{attachment.message.ticket_id}/{uuid4().hex}{suffix}"


class Attachment(models.Model):
    """A file of a message. Type and size were checked when it came."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="attachments")
    file = models.FileField(upload_to=path_of, max_length=255)
    name = models.CharField(max_length=200, help_text="As its sender called it.")
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(help_text="Bytes.")

    personal_data = {"name": "text"}

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name
