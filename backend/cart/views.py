"""The signed-in user's cart."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from cart.serializers import AddSerializer, CartSerializer, QuantitySerializer
from cart.services import add_item, change_item, items_of, remove_item, totals_of
from users.authentication import SignedInRequest
from users.models import User

CART_EXAMPLE = {
    "items": [
        {
            "id": 3,
            "product": {
                "id": 7,
                "sku": "MUG-BLUE",
                "name": "Blue mug",
                "price": "12.50",
                "currency": "EUR",
                "stock": 40,
                "image": "/api/v1/products/7/image/",
            },
            "quantity": 2,
            "total": "25.00",
        }
    ],
    "totals": [{"currency": "EUR", "amount": "25.00"}],
}
cart_example = OpenApiExample("A cart", CART_EXAMPLE, response_only=True)
conflict = OpenApiResponse(description="There are not so many, or a cart does not hold so many.")


def cart_of(user: User) -> dict[str, Any]:
    items = list(items_of(user))
    totals = [{"currency": code, "amount": amount} for code, amount in totals_of(items).items()]
    return CartSerializer({"items": items, "totals": totals}).data


class CartView(APIView):
    @extend_schema(tags=["cart"], responses=CartSerializer, examples=[cart_example])
    def get(self, request: SignedInRequest) -> Response:
        """Show the cart, at the products' present prices."""
        return Response(cart_of(request.user))


class AddView(APIView):
    @extend_schema(
        tags=["cart"],
        request=AddSerializer,
        responses={200: CartSerializer, 404: None, 409: conflict},
        examples=[
            cart_example,
            OpenApiExample("Two mugs", {"product": 7, "quantity": 2}, request_only=True),
        ],
    )
    def post(self, request: SignedInRequest) -> Response:
        """Add pieces of a product, beside those that are in the cart."""
        wanted = AddSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        add_item(request.user, **wanted.validated_data)
        return Response(cart_of(request.user))


update_schema = extend_schema(
    tags=["cart"],
    request=QuantitySerializer,
    responses={200: CartSerializer, 409: conflict},
    examples=[cart_example, OpenApiExample("Three pieces", {"quantity": 3}, request_only=True)],
)


class UpdateView(APIView):
    @update_schema
    def put(self, request: SignedInRequest, pk: int) -> Response:
        """Set how many pieces of an item are wanted."""
        wanted = QuantitySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        change_item(request.user, pk, **wanted.validated_data)
        return Response(cart_of(request.user))

    @update_schema
    def patch(self, request: SignedInRequest, pk: int) -> Response:
        """Do the same as PUT; an item has nothing else to change."""
        wanted = QuantitySerializer(data=request.data, partial=True)
        wanted.is_valid(raise_exception=True)
        if wanted.validated_data:
            change_item(request.user, pk, **wanted.validated_data)
        else:
            items_of(request.user).get(pk=pk)
        return Response(cart_of(request.user))


class RemoveView(APIView):
    @extend_schema(tags=["cart"], responses={204: None})
    def delete(self, request: SignedInRequest, pk: int) -> Response:
        """Take an item out of the cart."""
        remove_item(request.user, pk)
        return Response(status=204)
