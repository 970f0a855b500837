"""What the tickets' API takes and gives."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.files.uploadedfile import UploadedFile
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.fields import TextField
from tickets.attachments import MAX_FILES, checked_type
from tickets.models import Attachment, Message, Ticket


class AttachmentSerializer(serializers.ModelSerializer):
    url = serializers.SerializerMethodField(help_text="Address of the file, on this host.")

    class Meta:
        model = Attachment
        fields = ["id", "name", "content_type", "size", "url"]
        read_only_fields = fields

    @extend_schema_field({"type": "string", "format": "uri-reference"})
    def get_url(self, attachment: Attachment) -> str:
        return reverse("ticket-attachment", args=[attachment.pk])


class MessageSerializer(serializers.ModelSerializer):
    author = serializers.SerializerMethodField(help_text="Who wrote it: customer or staff.")
    attachments = AttachmentSerializer(many=True, read_only=True)

    class Meta:
        model = Message
        fields = ["id", "author", "body", "created_at", "attachments"]
        read_only_fields = fields

    @extend_schema_field({"type": "string", "enum": ["customer", "staff"]})
    def get_author(self, message: Message) -> str:
        return "customer" if message.author_id == message.ticket.user_id else "staff"


class TicketSerializer(serializers.ModelSerializer):
    """A ticket as a list shows it."""

    class Meta:
        model = Ticket
        fields = ["id", "subject", "status", "created_at", "updated_at"]
        read_only_fields = fields


class TicketDetailSerializer(TicketSerializer):
    messages = MessageSerializer(many=True, read_only=True)

    class Meta(TicketSerializer.Meta):
        fields = [*TicketSerializer.Meta.fields, "messages"]
        read_only_fields = fields


class AnswerSerializer(serializers.Serializer):
    body = TextField(max_length=10_000)


class OpenTicketSerializer(AnswerSerializer):
    subject = TextField(max_length=200)


class AttachmentsSerializer(serializers.Serializer):
    """What a message may carry when it comes as a multipart form."""

    attachments = serializers.ListField(
        child=serializers.FileField(max_length=200),
        max_length=MAX_FILES,
        default=(),  # type: ignore[arg-type]  # a list would be shared
        help_text="Images, PDF or text.",
    )

    def validate_attachments(self, files: list[UploadedFile]) -> list[UploadedFile]:
        for file in files:
            try:
                checked_type(file)
            except DjangoValidationError as error:
                raise serializers.ValidationError(error.messages) from error
        return files

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        ignored = [
            name
            for name, value in self.initial_data.items()
            if isinstance(value, UploadedFile) and value not in values["attachments"]
        ]
        if ignored:
            wrong = ["Send files as `attachments`."]
            raise serializers.ValidationError(dict.fromkeys(ignored, wrong))
        return values


class AnswerFormSerializer(AttachmentsSerializer, AnswerSerializer):
    pass


class OpenTicketFormSerializer(AttachmentsSerializer, OpenTicketSerializer):
    pass
