"""What the orders' API takes and gives."""

from rest_framework import serializers

from orders.models import Order, OrderItem, StatusChange


class OrderSerializer(serializers.ModelSerializer):
    """An order as a list shows it."""

    class Meta:
        model = Order
        fields = ["id", "number", "status", "currency", "total", "created_at"]
        read_only_fields = fields


class OrderItemSerializer(serializers.ModelSerializer):
    total = serializers.DecimalField(max_digits=12, decimal_places=2, read_only=True)

    class Meta:
        model = OrderItem
        fields = ["product", "sku", "name", "unit_price", "quantity", "total"]
        read_only_fields = fields


class StatusChangeSerializer(serializers.ModelSerializer):
    class Meta:
        model = StatusChange
        fields = ["status", "at"]
        read_only_fields = fields


class OrderDetailSerializer(OrderSerializer):
    items = OrderItemSerializer(many=True, read_only=True)
    history = StatusChangeSerializer(many=True, read_only=True)

    class Meta(OrderSerializer.Meta):
        fields = [*OrderSerializer.Meta.fields, "items", "history"]
        read_only_fields = fields


class IdempotencyKeySerializer(serializers.Serializer):
    """The header Idempotency-Key."""

    key = serializers.CharField(max_length=255, allow_blank=True)
