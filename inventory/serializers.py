"""API schemas of products, stock and adjustments."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from inventory import naming
from inventory.models import Product, StockChange
from iso.currencies import rounded

LARGEST_ADJUSTMENT = 1_000_000
LARGEST_PAGE = 200


class PriceField(serializers.DecimalField):
    """A price, as it is given."""

    default_error_messages: ClassVar = {"max_decimal_places": "No currency has more than three decimals."}

    def quantize(self, value: Decimal) -> Decimal:
        """Return the value: its currency decides the digits."""
        return value


class ProductSerializer(serializers.ModelSerializer):
    """A product as customers see it."""

    price = PriceField(max_digits=13, decimal_places=3)
    weightGrams = serializers.IntegerField(source="weight_grams")  # noqa: N815 - the name on the wire
    available = serializers.IntegerField(source="stock.available", help_text="Units the next order may have.")

    class Meta:
        model = Product
        fields = [
            "id",
            "sku",
            "name",
            "category",
            "description",
            "price",
            "currency",
            "weightGrams",
            "available",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Product) -> dict[str, Any]:
        """Return the product with its price in the decimals of its currency."""
        shown: dict[str, Any] = super().to_representation(instance)
        return shown | {"price": rounded(instance.price, instance.currency)}


class StaffProductSerializer(ProductSerializer):
    """A product as staff see it, with all stock figures."""

    active = serializers.BooleanField(required=False, help_text="Staff only.")
    onHand = serializers.IntegerField(source="stock.on_hand", required=False, help_text="Staff only.")  # noqa: N815
    reserved = serializers.IntegerField(source="stock.reserved", required=False, help_text="Staff only.")
    sold = serializers.IntegerField(source="stock.sold", required=False, help_text="Staff only.")
    reorderLevel = serializers.IntegerField(  # noqa: N815
        source="stock.reorder_level", required=False, help_text="Staff only."
    )

    class Meta(ProductSerializer.Meta):
        fields = [*ProductSerializer.Meta.fields, "active", "onHand", "reserved", "sold", "reorderLevel"]
        read_only_fields = fields


class ChangeSerializer(serializers.ModelSerializer):
    """A stock adjustment."""

    onHandAfter = serializers.IntegerField(source="on_hand_after")  # noqa: N815
    madeBy = serializers.SerializerMethodField(  # noqa: N815
        help_text="The user name; null for the sync."
    )
    madeAt = serializers.DateTimeField(source="made_at")  # noqa: N815

    class Meta:
        model = StockChange
        fields = ["id", "source", "wanted", "applied", "onHandAfter", "reason", "madeBy", "madeAt"]
        read_only_fields = fields

    def get_madeBy(self, change: StockChange) -> str | None:  # noqa: N802 - the name on the wire
        return change.made_by or None


class ProductPage(serializers.Serializer):
    """A page of products."""

    next = serializers.URLField(allow_null=True)
    results = StaffProductSerializer(many=True)


class ChangePage(serializers.Serializer):
    """Adjustments, latest first."""

    next = serializers.URLField(allow_null=True)
    results = ChangeSerializer(many=True)


class PageParameters(serializers.Serializer):
    """Pagination parameters."""

    cursor = serializers.IntegerField(
        min_value=0,
        max_value=2**63 - 1,
        default=0,
        help_text="Where the page starts, from the `next` of another.",
    )
    pageSize = serializers.IntegerField(min_value=1, max_value=LARGEST_PAGE, default=50)  # noqa: N815


class ListingParameters(PageParameters):
    """Filters and pagination."""

    search = serializers.CharField(
        max_length=100,
        default="",
        allow_blank=True,
        help_text="Text in the SKU, the name or the description.",
    )
    category = serializers.CharField(max_length=40, default="", allow_blank=True)
    inStock = serializers.BooleanField(  # noqa: N815
        allow_null=True, default=None, help_text="Only those with (or without) units that can be ordered."
    )
    runsLow = serializers.BooleanField(  # noqa: N815
        default=False, help_text="Only those with fewer units left than their reorder level."
    )


class AdjustmentSerializer(serializers.Serializer):
    """A manual stock adjustment."""

    by = serializers.IntegerField(
        min_value=-LARGEST_ADJUSTMENT,
        max_value=LARGEST_ADJUSTMENT,
        help_text="Units to add; negative: to take.",
    )
    reason = serializers.CharField(max_length=200)

    def validate_by(self, by: int) -> int:
        if by == 0:
            raise serializers.ValidationError("Zero changes nothing.", code="zero")
        return by


class SyncParameters(serializers.Serializer):
    """Options of a sync."""

    wait = serializers.BooleanField(default=False, help_text="Run it now, and answer with what it did.")


class SyncAsked(serializers.Serializer):
    """A worker will run the sync."""

    status = serializers.CharField(default="queued")


class SyncResult(serializers.Serializer):
    """The result of a sync."""

    pages = serializers.IntegerField()
    products = serializers.IntegerField(help_text="Compared.")
    differences = serializers.IntegerField()
    applied = serializers.IntegerField(help_text="Differences that are gone.")
    unknown = serializers.IntegerField(help_text="SKUs of the warehouse that are not sold here.")
    stopped = serializers.CharField(
        allow_null=True, help_text="Why it ended before the last page; null: it did not."
    )


class ProductFields(serializers.ModelSerializer):
    """A product's editable fields. Stock changes by adjustments only."""

    weightGrams = serializers.IntegerField(  # noqa: N815
        source="weight_grams", min_value=0, max_value=2**31 - 1, required=False
    )
    price = PriceField(max_digits=13, decimal_places=3, min_value=Decimal(0))
    reorderLevel = serializers.IntegerField(  # noqa: N815
        min_value=0, max_value=2**31 - 1, required=False, help_text="Below so many units: reorder."
    )

    class Meta:
        model = Product
        fields = [
            "sku",
            "name",
            "category",
            "description",
            "price",
            "currency",
            "weightGrams",
            "active",
            "reorderLevel",
        ]

    def validate_sku(self, sku: str) -> str:
        """Return a normalised SKU; reject one that breaks URLs."""
        return self._free("sku", naming.tidy(sku), naming.check_sku)

    def validate_name(self, name: str) -> str:
        return self._free("name", naming.tidy(name))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Reject more decimals than the currency has."""
        price = attrs.get("price", getattr(self.instance, "price", None))
        currency: str = attrs.get("currency", getattr(self.instance, "currency", "USD"))
        if price is not None and {"price", "currency"} & attrs.keys():
            try:
                naming.check_price(price, currency)
                attrs["price"] = rounded(price, currency)
            except ValidationError as error:
                raise serializers.ValidationError({"price": error.messages}, code=error.code) from None
        return attrs

    def _free(self, field: str, text: str, check: Callable[[str], None] | None = None) -> str:
        product = self.instance
        if product is None or getattr(product, field) != text:  # an unchanged value is accepted
            if check:
                check(text)
            naming.check_free(field, text, product_id=product and product.pk)
        return text


class BadParameter(serializers.ValidationError):
    """An invalid query parameter."""


def checked(kind: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """Validate a body. Raises DRF's ValidationError."""
    return filled(kind(data=data))


def filled(serializer: serializers.BaseSerializer) -> dict[str, Any]:
    """Validate a serializer's body, unknown fields too. Raises DRF's ValidationError."""
    data, fields = serializer.initial_data, getattr(serializer, "fields", {})
    unknown = [name[:80] for name in data if name not in fields] if isinstance(data, dict) else []
    faults: dict[str, Any] = {
        name: [ErrorDetail("There is no such field.", code="unknown_field")] for name in unknown
    }
    if not serializer.is_valid():
        faults |= serializer.errors
    if faults:
        raise serializers.ValidationError(faults)
    return dict(serializer.validated_data)


def parameters(kind: type[serializers.Serializer], query: QueryDict) -> dict[str, Any]:
    """Validate query parameters. Raises BadParameter."""
    # DRF treats an empty parameter of a QueryDict as absent.
    serializer = kind(data=query.dict())
    if not serializer.is_valid():
        raise BadParameter(serializer.errors)
    return dict(serializer.validated_data)
