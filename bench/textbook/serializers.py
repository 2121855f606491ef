"""A writable nested serializer, after DRF's guide."""

from typing import Any

from django.db import transaction
from rest_framework import serializers

from bench.textbook.models import Order, OrderEvent, OrderItem, Product


class OrderItemSerializer(serializers.ModelSerializer):
    productId = serializers.PrimaryKeyRelatedField(source="product", queryset=Product.objects.all())  # noqa: N815

    class Meta:
        model = OrderItem
        fields = ["id", "productId", "quantity", "price"]
        read_only_fields = ["price"]


class OrderSerializer(serializers.ModelSerializer):
    customerName = serializers.CharField(source="customer_name", max_length=100)  # noqa: N815
    items = OrderItemSerializer(many=True)

    class Meta:
        model = Order
        fields = ["id", "customerName", "email", "status", "total_amount", "items", "created_at"]
        read_only_fields = ["status", "total_amount"]

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> Order:
        """Create the order with its items, at the products' prices."""
        items = validated_data.pop("items")
        order = Order.objects.create(**validated_data)
        for item in items:
            OrderItem.objects.create(order=order, price=item["product"].price, **item)
        order.total_amount = sum(item["product"].price * item["quantity"] for item in items)
        order.save()
        OrderEvent.objects.create(order=order, type="order_placed")
        return order
