"""Prices in request bodies."""

from decimal import Decimal
from typing import Any

LARGEST_PRICE = Decimal("9999999999.99")


class Price(Decimal):
    """A price: a JSON number with at most three decimals, and no more than its currency has."""


def read_price(kind: type, value: Any) -> Any:
    """Convert a number to a Price, as a hook of msgspec. Raises ValueError."""
    if kind is not Price:
        raise NotImplementedError(kind)
    if not isinstance(value, Decimal | int) or isinstance(value, bool):
        raise ValueError(f"Expected `number`, got `{type(value).__name__}`")
    if not 0 <= value <= LARGEST_PRICE:
        raise ValueError(f"Expected `number` {'>= 0' if value < 0 else f'<= {LARGEST_PRICE}'}")
    price = Price(round(Decimal(value), 3))
    if price != value:
        raise ValueError("too many decimals")
    return price
