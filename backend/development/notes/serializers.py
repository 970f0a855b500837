"""What the API takes and gives."""

from rest_framework import serializers

from core.fields import TextField
from development.notes.models import Note


class NoteSerializer(serializers.ModelSerializer):
    title = TextField(max_length=200)
    text = TextField(max_length=10_000)

    class Meta:
        model = Note
        fields = ["id", "title", "text", "words", "created_at"]
        read_only_fields = ["words", "created_at"]


class NoteFormSerializer(NoteSerializer):
    """The same as a multipart form, which may carry a file."""

    file = serializers.FileField(max_length=200, write_only=True, required=False)

    class Meta(NoteSerializer.Meta):
        fields = [*NoteSerializer.Meta.fields, "file"]
