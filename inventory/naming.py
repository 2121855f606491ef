"""Rules for SKUs, names and prices."""

import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import F, Func, QuerySet, Value
from django.db.models.functions import Lower

from inventory.models import Product
from iso.currencies import has_decimals_for
from iso.validators import decimals_refused

# Breaks a URL, or clashes with one below /api/inventory.
NOT_ADDRESSABLE = re.compile(r"[/\\?#%]|^\.{1,2}$|^sync$")

TAKEN = "Another product is called that."


def tidy(text: str) -> str:
    """Collapse whitespace, no-break spaces too."""
    return " ".join(text.split())


def check_sku(sku: str) -> None:
    """Raise ValidationError for a SKU that breaks URLs."""
    if NOT_ADDRESSABLE.search(sku):
        message = "A SKU stands in addresses: without / \\ ? # and %, and neither a dot, two dots nor sync."
        raise ValidationError(message, code="not_addressable")


def check_free(field: str, text: str, *, product_id: int | None) -> None:
    """Raise ValidationError for names alike but for case, spaces or code points."""
    alike = _products_by(field).filter(normal_form=_normal_form(Value(text)))
    if alike.exclude(pk=product_id).exists():
        raise ValidationError(TAKEN, code="unique")


def taken_field(error: IntegrityError) -> str | None:
    """Return the field of a conflict with a product that was stored meanwhile; None for other errors."""
    constraint = str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", ""))
    return next(
        (field for field in ("sku", "name") if constraint.startswith(f"inventory_product_{field}")), None
    )


def check_price(price: Decimal, currency: str) -> None:
    """Raise ValidationError for more decimals than the currency has."""
    if not has_decimals_for(price, currency):
        raise decimals_refused(currency)


def _products_by(field: str) -> QuerySet[Any]:
    return Product.objects.annotate(normal_form=_normal_form(F(field)))


def _normal_form(text: Any) -> Func:
    composed = Func(text, template="normalize(%(expressions)s, NFKC)")
    blanks = Func(composed, Value(r"\s+"), Value(" "), Value("g"), function="regexp_replace")
    return Lower(Func(blanks, function="btrim"))
