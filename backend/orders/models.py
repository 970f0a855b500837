"""Orders: what was bought, at the prices of that moment."""

from __future__ import annotations

import secrets
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils import timezone

from products.models import Currency, Product

# Crockford's digits: none of them is read or heard as another.
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_number() -> str:
    """Return a number such as 20260131-7K3F9QXM, which does not reveal the number of orders."""
    return f"{timezone.now():%Y%m%d}-" + "".join(secrets.choice(DIGITS) for _ in range(8))


class Order(models.Model):
    class Status(models.TextChoices):
        PENDING = "pending"
        PAID = "paid"
        SHIPPED = "shipped"
        DELIVERED = "delivered"
        CANCELLED = "cancelled"

    number = models.CharField(max_length=20, unique=True, default=new_number, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders")
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    currency = models.CharField(max_length=3, choices=Currency)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    idempotency_key = models.CharField(max_length=255, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    confirmation_sent_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                name="orders_unconfirmed",
                fields=["created_at"],
                condition=models.Q(confirmation_sent_at=None),
            )
        ]
        constraints = [
            models.UniqueConstraint(
                name="orders_one_order_per_key",
                fields=["user", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
            )
        ]

    def __str__(self) -> str:
        return self.number


class OrderItem(models.Model):
    """A line of an order. It keeps what the product was called and cost."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    sku = models.CharField("SKU", max_length=64)
    name = models.CharField(max_length=200)
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    quantity = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.name}"

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.quantity


class StatusChange(models.Model):
    """When an order came to its status, and by whom."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="history")
    status = models.CharField(max_length=20, choices=Order.Status)
    at = models.DateTimeField(default=timezone.now, editable=False)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.order}: {self.status}"
