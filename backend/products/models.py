"""The catalogue."""

from decimal import Decimal

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

# Of a full-text search: how words are cut to their stems. English is part of PostgreSQL's core.
LANGUAGE = "english"

SHOWN = models.Q(is_active=True)


class Currency(models.TextChoices):
    """ISO 4217 codes of the currencies a price may have; each has two decimals."""

    EUR = "EUR", "euro"
    USD = "USD", "US dollar"
    GBP = "GBP", "pound sterling"


class Category(models.Model):
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    sku = models.CharField("SKU", max_length=64, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    category = models.ForeignKey(Category, models.PROTECT, related_name="products")
    price = models.DecimalField(
        max_digits=10, decimal_places=2, validators=[MinValueValidator(Decimal(0))]
    )
    currency = models.CharField(max_length=3, choices=Currency, default=Currency.EUR)
    stock = models.PositiveIntegerField(default=0, help_text="Pieces that can be ordered now.")
    image = models.ImageField(upload_to="products/", blank=True)
    is_active = models.BooleanField(default=True, help_text="Only active products are shown.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    # Kept by the database itself, so that no way of writing a product can forget it.
    search = models.GeneratedField(
        expression=SearchVector("name", weight="A", config=LANGUAGE)
        + SearchVector("description", weight="B", config=LANGUAGE),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["-id"]
        # Each order a list may have, of the products that lists show: read and counted from
        # its index, for a catalogue of any size.
        indexes = [
            GinIndex(fields=["search"], name="products_search"),
            models.Index(fields=["-id"], name="products_new", condition=SHOWN),
            models.Index(fields=["price", "-id"], name="products_price", condition=SHOWN),
            models.Index(fields=["name", "-id"], name="products_name", condition=SHOWN),
        ]
        constraints = [
            models.CheckConstraint(
                name="products_price_not_negative", condition=models.Q(price__gte=0)
            )
        ]

    def __str__(self) -> str:
        return self.name
