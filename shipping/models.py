"""Shipping zones, their countries and rates."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from database.fields import MoneyField
from iso.currencies import format_amount, has_decimals_for, rounded
from iso.validators import check_currency, decimals_refused


class Zone(models.Model):
    """Countries with the same shipping rates."""

    name = models.CharField(max_length=60, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ZoneCountry(models.Model):
    """A country of a zone; others are not delivered to."""

    country = models.CharField(max_length=2, primary_key=True, help_text="ISO 3166 code, e.g. DE.")
    zone = models.ForeignKey(Zone, on_delete=models.CASCADE, related_name="countries")

    class Meta:
        ordering = ["country"]
        verbose_name_plural = "zone countries"

    def __str__(self) -> str:
        return str(self.country)  # None once deleted


class Rate(models.Model):
    """A parcel's price to a zone, up to a weight."""

    zone = models.ForeignKey(Zone, on_delete=models.CASCADE, related_name="rates")
    max_weight_grams = models.PositiveIntegerField()
    price = MoneyField()
    currency = models.CharField(max_length=3, default="USD", validators=[check_currency])
    free_from = MoneyField(
        null=True,
        blank=True,
        help_text="Goods worth this much or more ship free.",
    )

    class Meta:
        ordering = ["zone", "max_weight_grams"]
        constraints = [
            models.UniqueConstraint(
                fields=["zone", "currency", "max_weight_grams"], name="shipping_rate_unique"
            ),
            models.CheckConstraint(condition=Q(price__gte=0), name="shipping_rate_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.zone} up to {self.max_weight_grams} g: {format_amount(self.price, self.currency)}"

    def clean(self) -> None:
        """Reject more decimals than the currency has, and store exactly those."""
        for field in ("price", "free_from"):
            amount = getattr(self, field)
            if amount is None:
                continue
            if not has_decimals_for(amount, self.currency):
                raise ValidationError({field: decimals_refused(self.currency)})
            setattr(self, field, rounded(amount, self.currency))
