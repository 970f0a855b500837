"""What the catalogue's API gives."""

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from products.models import Category, Product


class CategorySerializer(serializers.ModelSerializer):
    class Meta:
        model = Category
        fields = ["name", "slug"]


class ProductSerializer(serializers.ModelSerializer):
    """A product as a list shows it."""

    category = CategorySerializer()
    image = serializers.SerializerMethodField(help_text="Address of the image, on this host.")

    class Meta:
        model = Product
        fields = ["id", "sku", "name", "price", "currency", "stock", "category", "image"]
        read_only_fields = fields

    @extend_schema_field({"type": "string", "format": "uri-reference", "nullable": True})
    def get_image(self, product: Product) -> str | None:
        return reverse("product-image", args=[product.pk]) if product.image else None


class ProductDetailSerializer(ProductSerializer):
    class Meta(ProductSerializer.Meta):
        fields = [*ProductSerializer.Meta.fields, "description", "created_at", "updated_at"]
        read_only_fields = fields
