"""How a list of products is narrowed and ordered."""

from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchRank
from django.db.models import F, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field

from products.models import LANGUAGE, Product


class Ordering(filters.OrderingFilter):
    """Orders by a field, then by id, so that no product is on two pages."""

    def filter(self, rows: QuerySet, value: list[str] | None) -> QuerySet:
        rows = super().filter(rows, value)
        return rows.order_by(*rows.query.order_by, "-id") if value else rows


@extend_schema_field(bool)
class InStockFilter(filters.ChoiceFilter):
    """Takes true and false, and refuses what django-filter's own would take for neither."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[("true", "true"), ("false", "false")], **kwargs)

    def filter(self, rows: QuerySet, value: str) -> QuerySet:
        if not value:
            return rows
        return rows.filter(stock__gt=0) if value == "true" else rows.filter(stock=0)


class ProductFilter(filters.FilterSet):
    category = filters.CharFilter(field_name="category__slug", help_text="Slug of a category.")
    min_price = filters.NumberFilter(
        field_name="price", lookup_expr="gte", max_digits=10, decimal_places=2
    )
    max_price = filters.NumberFilter(
        field_name="price", lookup_expr="lte", max_digits=10, decimal_places=2
    )
    in_stock = InStockFilter(field_name="stock", help_text="Whether a piece is left.")
    search = filters.CharFilter(
        method="filter_search",
        max_length=200,
        help_text='Words; "a phrase"; or; -without. Best matches first, unless ordered.',
    )
    ordering = Ordering(fields=["name", "price", "created_at"])

    class Meta:
        model = Product
        fields: list[str] = []

    def filter_search(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        query = SearchQuery(value, config=LANGUAGE, search_type="websearch")
        rows = rows.filter(search=query)
        return rows.order_by(SearchRank(F("search"), query).desc(), "-id")
