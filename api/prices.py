"""Prices in request bodies."""

from decimal import Decimal
from typing import Any

LARGEST_PRICE = Decimal("9999999999.99")


class Price(Decimal):
    """A price: a JSON number with at most three decimals, and no more than its currency has."""


class Amount(Decimal):
    """An amount of either sign: a JSON number, otherwise like a price."""


class Rate(Decimal):
    """A share between 0 and 1: a JSON number with at most six decimals."""


LIMITS: dict[type[Decimal], tuple[Decimal, Decimal, int]] = {  # least, largest, decimals
    Price: (Decimal(0), LARGEST_PRICE, 3),
    Amount: (-LARGEST_PRICE, LARGEST_PRICE, 3),
    Rate: (Decimal(0), Decimal(1), 6),
}


def read_price(kind: type, value: Any) -> Any:
    """Convert a number to a Price, an Amount or a Rate, as a hook of msgspec. Raises ValueError."""
    if kind not in LIMITS:
        raise NotImplementedError(kind)
    if not isinstance(value, Decimal | int) or isinstance(value, bool):
        raise ValueError(f"Expected `number`, got `{type(value).__name__}`")
    least, largest, decimals = LIMITS[kind]
    if not least <= value <= largest:
        raise ValueError(f"Expected `number` {f'>= {least}' if value < least else f'<= {largest}'}")
    read = kind(round(Decimal(value), decimals))
    if read != value:
        raise ValueError("too many decimals" if decimals == 3 else f"more than {decimals} decimals")
    return read
