"""The tickets' rules: who sees them, and how they go."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import QuerySet

from core.errors.problem_details import Conflict
from tickets.attachments import checked_type
from tickets.models import Attachment, Message, Ticket
from users.models import User


class TicketClosed(Conflict):
    """Nothing can be added to a closed ticket."""

    def __init__(self) -> None:
        super().__init__("The ticket is closed; open a new one.")


def tickets_for(user: User) -> QuerySet[Ticket]:
    """Return the tickets this user may see: their own, or all for the staff. Newest first."""
    return Ticket.objects.all() if user.is_staff else Ticket.objects.filter(user=user)


def attachments_for(user: User) -> QuerySet[Attachment]:
    """Return the attachments of those tickets."""
    return Attachment.objects.filter(message__ticket__in=tickets_for(user))


@transaction.atomic
def open_ticket(
    user: User, subject: str, body: str, attachments: Sequence[UploadedFile] = ()
) -> Ticket:
    """Open a ticket with its first message.

    Raises:
        ValidationError: when a file may not be attached.
    """
    ticket = Ticket.objects.create(user=user, subject=subject)
    _add_message(ticket, user, body, attachments)
    return ticket


@transaction.atomic
def answer_ticket(
    user: User, ticket_id: int, body: str, attachments: Sequence[UploadedFile] = ()
) -> Ticket:
    """Add a message: the staff's answers a ticket, its owner's opens it again.

    Raises:
        Ticket.DoesNotExist: when this user may not see it.
        TicketClosed: when it is closed.
        ValidationError: when a file may not be attached.
    """
    ticket = locked_open(tickets_for(user), ticket_id)
    _add_message(ticket, user, body, attachments)
    is_owner = ticket.user_id == user.pk
    ticket.status = Ticket.Status.OPEN if is_owner else Ticket.Status.ANSWERED
    ticket.save()
    return ticket


def locked_open(tickets: QuerySet[Ticket], ticket_id: int) -> Ticket:
    """Return an open one of these tickets, locked until the caller's transaction ends.

    Raises:
        Ticket.DoesNotExist: when it is none of them.
        TicketClosed: when it is closed.
    """
    ticket = tickets.select_for_update().get(pk=ticket_id)
    if ticket.status == Ticket.Status.CLOSED:
        raise TicketClosed
    return ticket


@transaction.atomic
def close_ticket(user: User, ticket_id: int) -> Ticket:
    """Close a ticket; one that is closed stays so.

    Raises:
        Ticket.DoesNotExist: when this user may not see it.
    """
    ticket = tickets_for(user).select_for_update().get(pk=ticket_id)
    ticket.status = Ticket.Status.CLOSED
    ticket.save()
    return ticket


def _add_message(ticket: Ticket, author: User, body: str, attachments: Sequence[File]) -> None:
    types = [checked_type(file) for file in attachments]  # all, before any is stored
    message = Message.objects.create(ticket=ticket, author=author, body=body)
    with contextlib.ExitStack() as stored:
        for file, content_type in zip(attachments, types, strict=True):
            made = Attachment.objects.create(
                message=message,
                file=file,
                name=(file.name or "")[-200:],
                content_type=content_type,
                size=file.size,
            )
            stored.callback(made.file.storage.delete, str(made.file.name))
        stored.pop_all()  # kept, unless a later one could not be stored: then no row names them
