"""The catalogue: for everybody, to read."""

from __future__ import annotations

import mimetypes
import re
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import FileResponse, Http404
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from products.filters import ProductFilter
from products.models import Product
from products.serializers import ProductDetailSerializer, ProductSerializer
from products.services import remembered, visible_products

EXAMPLE = {
    "id": 7,
    "sku": "MUG-BLUE",
    "name": "Blue mug",
    "price": "12.50",
    "currency": "EUR",
    "stock": 40,
    "category": {"name": "Kitchen", "slug": "kitchen"},
    "image": "/api/v1/products/7/image/",
}
DETAIL_EXAMPLE = EXAMPLE | {
    "description": "Holds 300 ml.",
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
}


class Catalogue(APIView):
    # A catalogue is read without an account, so a bad token is no reason to refuse it.
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_queryset(self) -> QuerySet[Product]:
        return visible_products()


@extend_schema(tags=["products"], examples=[OpenApiExample("A product", EXAMPLE)])
class ProductListView(Catalogue, ListAPIView):
    """List the products, newest first."""

    serializer_class = ProductSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = ProductFilter

    # Common values. Others would fill the cache with pages that are read once.
    remembered_parameters = {
        "category": r"[-\w]{1,100}",
        "in_stock": r"true|false",
        "ordering": r"-?(name|price|created_at)",
        "page": r"[1-9]\d{0,5}",
        "page_size": r"[1-9]\d?|100",
    }

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if not all(
            self._is_remembered(name, str(value)) for name, value in request.query_params.items()
        ):
            return super().list(request)
        key = f"{request.path}?{urlencode(sorted(request.query_params.items()))}"
        return Response(remembered(key, lambda: super(ProductListView, self).list(request).data))

    def _is_remembered(self, name: str, value: str) -> bool:
        return bool(re.fullmatch(self.remembered_parameters.get(name, r"(?!)"), value))


@extend_schema(tags=["products"], examples=[OpenApiExample("A product", DETAIL_EXAMPLE)])
class ProductDetailView(Catalogue, RetrieveAPIView):
    """Show one product."""

    serializer_class = ProductDetailSerializer


class ProductImageView(Catalogue):
    """Send a product's image, wherever the storage keeps it."""

    @extend_schema(tags=["products"], responses={(200, "image/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> FileResponse:
        product = self.get_queryset().filter(pk=pk).first()
        if product is None or not product.image:
            raise Http404
        content_type, _encoding = mimetypes.guess_type(product.image.name or "")
        try:
            file = product.image.open()
        except FileNotFoundError:
            raise Http404 from None
        return FileResponse(
            file, content_type=content_type, headers={"Cache-Control": "max-age=3600"}
        )
