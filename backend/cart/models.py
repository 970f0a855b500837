"""The cart: one for each user."""

from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from products.models import Product

MAX_QUANTITY = 99  # pieces of one product; who needs more asks by ticket
MAX_TOTAL = Decimal("9999999999.99")  # of what one order can hold, in one currency


class Cart(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="cart")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Cart of {self.user}"


class CartItem(models.Model):
    """Some pieces of a product; the price is the product's until they are ordered."""

    cart = models.ForeignKey(Cart, models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, models.CASCADE, related_name="+")
    quantity = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MAX_QUANTITY)]
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(name="cart_one_item_per_product", fields=["cart", "product"]),
            models.CheckConstraint(
                name="cart_quantity",
                condition=models.Q(quantity__gte=1, quantity__lte=MAX_QUANTITY),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity
