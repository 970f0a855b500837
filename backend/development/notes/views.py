"""The API. Views are thin: the rules are in services.py."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from core.parsers import JSONParser, MultiPartParser
from development.notes import services
from development.notes.models import Note
from development.notes.serializers import (
    NoteFormSerializer,
    NoteSerializer,
)
from users.authentication import SignedInRequest

EXAMPLE = {
    "id": 1,
    "title": "A title",
    "text": "Some text",
    "words": 2,
    "created_at": "2026-01-31T12:00:00Z",
}
REQUEST = {"title": "A title", "text": "Some text"}


class NoteListView(ListAPIView):
    request: SignedInRequest
    serializer_class = NoteSerializer
    parser_classes = (JSONParser, MultiPartParser)

    def get_queryset(self) -> QuerySet[Note]:
        return services.notes_for(self.request.user)

    @extend_schema(
        tags=["notes"],
        examples=[OpenApiExample("An answer", EXAMPLE)],
    )
    def get(self, request: Request) -> Response:
        """List one's own, newest first."""
        return self.list(request)

    @extend_schema(
        tags=["notes"],
        request={
            "application/json": NoteSerializer,
            "multipart/form-data": NoteFormSerializer,
        },
        responses={201: NoteSerializer},
        examples=[
            OpenApiExample("A request", REQUEST, request_only=True),
            OpenApiExample("An answer", EXAMPLE, response_only=True),
        ],
    )
    def post(self, request: SignedInRequest) -> Response:
        """Create one. Sent as a form, it may carry a file."""
        sent = NoteFormSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        values = sent.validated_data
        note = services.create_note(request.user, **values)
        return Response(NoteSerializer(note).data, status=201)


@extend_schema(
    tags=["notes"],
    examples=[OpenApiExample("An answer", EXAMPLE)],
)
class NoteDetailView(RetrieveAPIView):
    """Show one of one's own."""

    request: SignedInRequest
    serializer_class = NoteSerializer

    def get_queryset(self) -> QuerySet[Note]:
        return services.notes_for(self.request.user)
