from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from orders.csv import csv_response
from orders.models import Order, OrderItem, StatusChange
from orders.services import ImpossibleChange, Status, change_status
from orders.tasks import send_confirmation
from users.models import User


class Unchangeable(admin.TabularInline):
    """Shows the history, read-only."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OrderItemInline(Unchangeable):
    model = OrderItem
    fields = readonly_fields = ("sku", "name", "unit_price", "quantity", "total")


class StatusChangeInline(Unchangeable):
    model = StatusChange
    fields = readonly_fields = ("status", "at", "by")


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders are made by customers, and moved on here by actions."""

    list_display = ["number", "user", "status", "total", "currency", "created_at"]
    list_filter = ["status", "currency", "created_at"]
    list_select_related = ["user"]
    date_hierarchy = "created_at"
    search_fields = ["number", "user__email", "items__sku", "items__name"]
    inlines = [OrderItemInline, StatusChangeInline]
    fields = readonly_fields = (
        "number",
        "user",
        "status",
        "total",
        "currency",
        "created_at",
        "confirmation_sent_at",
    )
    actions = ["mark_paid", "mark_shipped", "mark_delivered", "cancel", "confirm", "as_csv"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # cancel it instead

    @admin.action(description="Mark as paid", permissions=["change"])
    def mark_paid(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        self._move(request, orders, Status.PAID)

    @admin.action(description="Mark as shipped", permissions=["change"])
    def mark_shipped(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        self._move(request, orders, Status.SHIPPED)

    @admin.action(description="Mark as delivered", permissions=["change"])
    def mark_delivered(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        self._move(request, orders, Status.DELIVERED)

    @admin.action(description="Cancel, and return to stock", permissions=["change"])
    def cancel(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        self._move(request, orders, Status.CANCELLED)

    @admin.action(description="Send confirmations that were not sent", permissions=["change"])
    def confirm(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        unsent = orders.filter(confirmation_sent_at=None).values_list("number", flat=True)
        for number in unsent:
            send_confirmation.delay(number)
        self.message_user(request, f"{len(unsent)} on their way.")

    @admin.action(description="Download as CSV", permissions=["view"])
    def as_csv(self, request: HttpRequest, orders: QuerySet[Order]) -> HttpResponseBase:
        return csv_response(orders.order_by(), "orders")

    def _move(self, request: HttpRequest, orders: QuerySet[Order], status: str) -> None:
        for order in orders:
            try:
                change_status(order, status, cast("User", request.user))
            except ImpossibleChange as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"Order {order.number} is {status}.")
