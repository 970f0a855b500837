"""What the cart's API takes and gives."""

from rest_framework import serializers

from cart.models import MAX_QUANTITY, CartItem
from products.serializers import ProductSerializer


class CartProductSerializer(ProductSerializer):
    class Meta(ProductSerializer.Meta):
        fields = ["id", "sku", "name", "price", "currency", "stock", "image"]
        read_only_fields = fields

    category = None  # type: ignore[assignment]  # DRF's way to leave a field out


class CartItemSerializer(serializers.ModelSerializer):
    product = CartProductSerializer(read_only=True)
    total = serializers.DecimalField(max_digits=12, decimal_places=2, read_only=True)

    class Meta:
        model = CartItem
        fields = ["id", "product", "quantity", "total"]
        read_only_fields = fields


class TotalSerializer(serializers.Serializer):
    currency = serializers.CharField()
    # Prices that rose since may have made it more than an order can hold: no limit of digits.
    amount = serializers.DecimalField(max_digits=None, decimal_places=2)


class CartSerializer(serializers.Serializer):
    items = CartItemSerializer(many=True)
    totals = TotalSerializer(many=True, help_text="One for each currency in the cart.")


class QuantitySerializer(serializers.Serializer):
    quantity = serializers.IntegerField(min_value=1, max_value=MAX_QUANTITY)


class AddSerializer(QuantitySerializer):
    product = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="Its id.")
    quantity = serializers.IntegerField(min_value=1, max_value=MAX_QUANTITY, default=1)
