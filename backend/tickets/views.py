"""Tickets, for their owners and the staff."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.parsers import JSONParser, MultiPartParser
from tickets.models import Attachment, Ticket
from tickets.serializers import (
    AnswerFormSerializer,
    AnswerSerializer,
    OpenTicketFormSerializer,
    OpenTicketSerializer,
    TicketDetailSerializer,
    TicketSerializer,
)
from tickets.services import (
    answer_ticket,
    attachments_for,
    close_ticket,
    open_ticket,
    tickets_for,
)
from users.authentication import SignedInRequest

EXAMPLE = {
    "id": 4,
    "subject": "The mug arrived broken",
    "status": "open",
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
}
DETAIL_EXAMPLE = EXAMPLE | {
    "messages": [
        {
            "id": 9,
            "author": "customer",
            "body": "See the picture.",
            "created_at": "2026-01-31T12:00:00Z",
            "attachments": [
                {
                    "id": 2,
                    "name": "mug.png",
                    "content_type": "image/png",
                    "size": 48211,
                    "url": "/api/v1/tickets/attachments/2/",
                }
            ],
        }
    ]
}
detail_example = OpenApiExample("A ticket", DETAIL_EXAMPLE, response_only=True)
closed = OpenApiResponse(description="The ticket is closed.")


PARSERS = (JSONParser, MultiPartParser)  # no other form carries files


def with_messages(tickets: QuerySet[Ticket]) -> QuerySet[Ticket]:
    return tickets.prefetch_related("messages__attachments")


def detail(ticket: Ticket, status: int = 200) -> Response:
    found = with_messages(Ticket.objects.filter(pk=ticket.pk)).get()
    return Response(TicketDetailSerializer(found).data, status=status)


def file_response(attachment: Attachment) -> FileResponse:
    """Return the file, always to be saved: shown, it would be a part of this site.

    Raises:
        Http404: when the storage has lost it.
    """
    try:
        file = attachment.file.open()
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(
        file,
        as_attachment=True,
        filename=attachment.name,
        content_type=attachment.content_type,
        headers={"Cache-Control": "private, no-store"},
    )


class TicketListView(ListAPIView):
    request: SignedInRequest
    serializer_class = TicketSerializer
    parser_classes = PARSERS

    def get_queryset(self) -> QuerySet[Ticket]:
        return tickets_for(self.request.user)

    @extend_schema(tags=["tickets"], examples=[OpenApiExample("A ticket", EXAMPLE)])
    def get(self, request: Request) -> Response:
        """List the tickets, newest first; the staff sees everybody's."""
        return self.list(request)

    @extend_schema(
        tags=["tickets"],
        request={
            "application/json": OpenTicketSerializer,
            "multipart/form-data": OpenTicketFormSerializer,
        },
        responses={201: TicketDetailSerializer},
        examples=[
            detail_example,
            OpenApiExample(
                "A question",
                {"subject": "Where is my order?", "body": "It has been two weeks."},
                request_only=True,
            ),
        ],
    )
    def post(self, request: SignedInRequest) -> Response:
        """Open a ticket."""
        sent = OpenTicketFormSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        return detail(open_ticket(request.user, **sent.validated_data), 201)


@extend_schema(tags=["tickets"], examples=[detail_example])
class TicketDetailView(RetrieveAPIView):
    """Show a ticket with its messages."""

    request: SignedInRequest
    serializer_class = TicketDetailSerializer

    def get_queryset(self) -> QuerySet[Ticket]:
        return with_messages(tickets_for(self.request.user))


class AnswerView(APIView):
    parser_classes = PARSERS

    @extend_schema(
        tags=["tickets"],
        request={
            "application/json": AnswerSerializer,
            "multipart/form-data": AnswerFormSerializer,
        },
        responses={201: TicketDetailSerializer, 409: closed},
        examples=[
            detail_example,
            OpenApiExample("An answer", {"body": "A new one is on its way."}, request_only=True),
        ],
    )
    def post(self, request: SignedInRequest, pk: int) -> Response:
        """Add a message: the staff's answers the ticket, its owner's opens it again."""
        sent = AnswerFormSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        return detail(answer_ticket(request.user, pk, **sent.validated_data), 201)


class CloseView(APIView):
    @extend_schema(
        tags=["tickets"], request=None, responses=TicketDetailSerializer, examples=[detail_example]
    )
    def post(self, request: SignedInRequest, pk: int) -> Response:
        """Close a ticket."""
        return detail(close_ticket(request.user, pk))


class AttachmentView(APIView):
    @extend_schema(tags=["tickets"], responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: SignedInRequest, pk: int) -> FileResponse:
        """Send a file."""
        attachment = get_object_or_404(attachments_for(request.user), pk=pk)
        return file_response(attachment)
