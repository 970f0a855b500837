"""Orders as a table that a spreadsheet opens."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from orders.models import Order, OrderItem

COLUMNS = (
    "order",
    "date",
    "status",
    "sku",
    "name",
    "quantity",
    "unit price",
    "line total",
    "order total",
    "currency",
)
ROWS_AT_ONCE = 1000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Echo:
    """A file that gives back what is written, so that rows are sent as they are made.

    https://docs.djangoproject.com/en/5.2/howto/outputting-csv/#streaming-large-csv-files
    """

    def write(self, value: str) -> str:
        return value


def csv_response(orders: QuerySet[Order], name: str) -> StreamingHttpResponse:
    """Return a response that streams one row for each item of the orders, oldest first."""
    return StreamingHttpResponse(
        _lines(orders),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _lines(orders: QuerySet[Order]) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield writer.writerow(COLUMNS)
    items = OrderItem.objects.filter(order__in=orders).select_related("order").order_by("id")
    for item in items.iterator(chunk_size=ROWS_AT_ONCE):
        yield writer.writerow([_harmless(cell) for cell in _row(item)])


def _row(item: OrderItem) -> tuple[object, ...]:
    order = item.order
    return (
        order.number,
        order.created_at.isoformat(timespec="seconds"),
        order.status,
        item.sku,
        item.name,
        item.quantity,
        item.unit_price,
        item.total,
        order.total,
        order.currency,
    )


def _harmless(cell: object) -> str:
    """Keep a spreadsheet from taking text for a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = str(cell)
    # Spreadsheets skip blanks before a formula.
    return (
        f"'{text}" if text.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
    )
