from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet
from django.http import FileResponse, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join

from tickets.models import Attachment, Message, Ticket
from tickets.services import TicketClosed, answer_ticket, close_ticket, locked_open
from tickets.views import file_response
from users.models import User


def link_to(attachment: Attachment) -> tuple[str, str]:
    return reverse("admin:tickets_attachment_file", args=[attachment.pk]), attachment.name


class MessageFormSet(BaseInlineFormSet):
    """Refuses an answer to a ticket that was closed while it was written."""

    def clean(self) -> None:
        super().clean()
        if self.instance.pk and any(form.has_changed() for form in self.extra_forms):
            try:
                locked_open(Ticket.objects.all(), self.instance.pk)
            except TicketClosed as refusal:
                raise ValidationError(str(refusal)) from refusal


class MessageInline(admin.StackedInline):
    """The conversation so far, and room for an answer while the ticket is open."""

    model = Message
    formset = MessageFormSet
    can_delete = False
    fields = ["body", "author", "created_at", "files"]
    readonly_fields = ["author", "created_at", "files"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).prefetch_related("attachments")

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj and obj.status == Ticket.Status.CLOSED else 1

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display
    def files(self, message: Message) -> str:
        links = map(link_to, message.attachments.all()) if message.pk else ()
        return format_html_join(", ", '<a href="{}">{}</a>', links) or "-"


@admin.register(Ticket)
class TicketAdmin(admin.ModelAdmin):
    list_display = ["id", "subject", "user", "status", "updated_at"]
    list_display_links = ["id", "subject"]
    list_filter = ["status", "created_at"]
    list_select_related = ["user"]
    search_fields = ["subject", "user__email", "messages__body"]
    autocomplete_fields = ["user"]
    readonly_fields = ["status", "created_at", "updated_at"]
    inlines = [MessageInline]
    actions = ["close"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*self.readonly_fields, "user", "subject"] if obj else self.readonly_fields

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        # An answer changes the ticket's state, so it takes the same way as one by the API.
        formset.save(commit=False)
        for message in formset.new_objects:
            answer_ticket(cast("User", request.user), form.instance.pk, message.body)

    @admin.action(description="Close selected tickets", permissions=["change"])
    def close(self, request: HttpRequest, tickets: QuerySet[Ticket]) -> None:
        for ticket in tickets:
            close_ticket(cast("User", request.user), ticket.pk)
        self.message_user(request, f"{len(tickets)} closed.")


@admin.register(Attachment)
class AttachmentAdmin(admin.ModelAdmin):
    """Files come with messages; here they are found again, and removed."""

    list_display = ["name", "content_type", "size", "ticket"]
    list_filter = ["content_type"]
    list_select_related = ["message__ticket"]
    search_fields = ["name", "message__ticket__subject"]
    fields = readonly_fields = ("ticket", "content_type", "size", "download")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display
    def ticket(self, attachment: Attachment) -> str:
        return str(attachment.message.ticket)

    @admin.display
    def download(self, attachment: Attachment) -> str:
        return format_html('<a href="{}">{}</a>', *link_to(attachment))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.send_file)
        return [
            path("<int:pk>/file/", view, name="tickets_attachment_file"),
            *super().get_urls(),
        ]

    def send_file(self, request: HttpRequest, pk: int) -> FileResponse:
        attachment = get_object_or_404(Attachment, pk=pk)
        if not self.has_view_permission(request, attachment):
            raise PermissionDenied
        return file_response(attachment)
