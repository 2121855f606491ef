"""Products, their stock, reservations and stock adjustments."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from database.fields import MoneyField
from inventory.managers import ProductManager, StockItemManager, new_version
from inventory.stock import ChangeSource
from iso.validators import check_currency


class Product(models.Model):
    """A product. Retired, never deleted."""

    sku = models.CharField("SKU", max_length=40, unique=True)
    name = models.CharField(max_length=120, unique=True)
    category = models.CharField(max_length=40, blank=True)
    description = models.CharField(max_length=400, blank=True)
    price = MoneyField(validators=[MinValueValidator(Decimal(0))], help_text="0: a gift.")
    currency = models.CharField(max_length=3, default="USD", validators=[check_currency])
    weight_grams = models.PositiveIntegerField(default=0)
    active = models.BooleanField(default=True, help_text="Only active products can be ordered.")
    updated_at = models.DateTimeField(auto_now=True)
    # Changed by every write; the store of an order checks it against the version that was priced.
    version = models.BigIntegerField(
        db_column="catalogue_version", default=new_version, db_default=0, editable=False
    )

    objects = ProductManager()

    class Meta:
        base_manager_name = "objects"
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(price__gte=0), name="inventory_product_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.sku})"

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        self.version = new_version()
        if update_fields is not None:
            update_fields = {*update_fields, "version"}
        super().save(*args, update_fields=update_fields, **options)


class StockItem(models.Model):
    """A product's stock. `on_hand + sold` is all ever received."""

    product = models.OneToOneField(Product, on_delete=models.PROTECT, primary_key=True, related_name="stock")
    on_hand = models.PositiveIntegerField(
        default=0, help_text="Units in the warehouse, reserved ones included."
    )
    reserved = models.PositiveIntegerField(
        default=0, help_text="Units promised to orders that are not completed."
    )
    sold = models.PositiveIntegerField(default=0, help_text="Units that left with completed orders.")
    reorder_level = models.PositiveIntegerField(
        default=10, help_text="Below this many available units: reorder."
    )

    objects = StockItemManager()

    class Meta:
        ordering = ["product_id"]
        constraints = [
            # The last guard against overselling.
            models.CheckConstraint(
                condition=Q(on_hand__gte=F("reserved")), name="inventory_stock_not_oversold"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product_id}: {self.available} available"

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


class Reservation(models.Model):
    """Units reserved for one order. Deleted on sale or release."""

    pk = models.CompositePrimaryKey("order_id", "product_id")
    order_id = models.BigIntegerField()
    # No constraint: written only under the stock row's lock, and audited.
    product = models.ForeignKey(Product, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    quantity = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gt=0), name="inventory_reservation_quantity_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id} for order {self.order_id}"


class StockChange(models.Model):
    """A stock adjustment: by staff, or by the inventory sync."""

    Source = ChangeSource

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="stock_changes")
    source = models.CharField(max_length=8, choices=Source.choices)
    wanted = models.IntegerField(help_text="Units that were to be added (or, if negative, taken).")
    applied = models.IntegerField(help_text="Units that were; fewer when the rest is reserved by orders.")
    on_hand_after = models.PositiveIntegerField()
    reason = models.CharField(max_length=200, blank=True)
    made_by = models.CharField(max_length=150, blank=True, help_text="The user name; empty for the sync.")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.applied:+d} of {self.product_id} ({self.source})"
