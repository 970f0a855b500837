"""However a product is changed, lists show it."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from products.models import Category, Product
from products.services import forget_lists


@receiver([post_save, post_delete], sender=Product)
@receiver([post_save, post_delete], sender=Category)
def forget_lists_after_change(**kwargs: Any) -> None:
    forget_lists()
