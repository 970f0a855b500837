"""The signed-in user's orders."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
)
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.csv import csv_response
from orders.models import Order
from orders.serializers import (
    IdempotencyKeySerializer,
    OrderDetailSerializer,
    OrderSerializer,
)
from orders.services import create_order, orders_of
from users.authentication import SignedInRequest

EXAMPLE = {
    "id": 5,
    "number": "20260131-7K3F9QXM",
    "status": "pending",
    "currency": "EUR",
    "total": "25.00",
    "created_at": "2026-01-31T12:00:00Z",
}
DETAIL_EXAMPLE = EXAMPLE | {
    "items": [
        {
            "product": 7,
            "sku": "MUG-BLUE",
            "name": "Blue mug",
            "unit_price": "12.50",
            "quantity": 2,
            "total": "25.00",
        }
    ],
    "history": [{"status": "pending", "at": "2026-01-31T12:00:00Z"}],
}


@extend_schema(tags=["orders"], examples=[OpenApiExample("An order", EXAMPLE)])
class OrderListView(ListAPIView):
    """List the orders, newest first."""

    request: SignedInRequest
    serializer_class = OrderSerializer

    def get_queryset(self) -> QuerySet[Order]:
        return orders_of(self.request.user)


@extend_schema(tags=["orders"], examples=[OpenApiExample("An order", DETAIL_EXAMPLE)])
class OrderDetailView(RetrieveAPIView):
    """Show one order with its items and history."""

    request: SignedInRequest
    serializer_class = OrderDetailSerializer

    def get_queryset(self) -> QuerySet[Order]:
        return orders_of(self.request.user).prefetch_related("items", "history")


class OrderCreateView(APIView):
    @extend_schema(
        tags=["orders"],
        request=None,
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "maxLength": 255},
                OpenApiParameter.HEADER,
                description="Any text of the client's own. A request that repeats it gets the "
                "order that the first one made.",
            )
        ],
        responses={
            201: OrderDetailSerializer,
            200: OpenApiResponse(OrderDetailSerializer, description="Made by an earlier request."),
            400: OpenApiResponse(description="The key is not valid."),
            409: OpenApiResponse(
                description="The cart is empty or mixed, or somebody bought the last piece."
            ),
            422: OpenApiResponse(description="The key was used for an order with other items."),
        },
        examples=[OpenApiExample("An order", DETAIL_EXAMPLE)],
    )
    def post(self, request: SignedInRequest) -> Response:
        """Order what is in the cart; a confirmation follows by e-mail."""
        header = IdempotencyKeySerializer(data={"key": request.headers.get("Idempotency-Key", "")})
        header.is_valid(raise_exception=True)
        order, is_new = create_order(request.user, header.validated_data["key"])
        return Response(OrderDetailSerializer(order).data, status=201 if is_new else 200)


TABLE = {(200, "text/csv"): OpenApiTypes.STR}


class OrderCsvView(APIView):
    @extend_schema(tags=["orders"], responses=TABLE, operation_id="orders_csv")
    def get(self, request: SignedInRequest, pk: int) -> StreamingHttpResponse:
        """Send the items of one order as CSV."""
        order = get_object_or_404(orders_of(request.user), pk=pk)
        return csv_response(orders_of(request.user).filter(pk=pk), f"order-{order.number}")


class OrderListCsvView(APIView):
    @extend_schema(tags=["orders"], responses=TABLE, operation_id="orders_list_csv")
    def get(self, request: SignedInRequest) -> StreamingHttpResponse:
        """Send the items of all orders as CSV."""
        return csv_response(orders_of(request.user), "orders")
