"""Amounts as Stripe writes them: integers of a minor unit, with exceptions to ISO 4217.

https://docs.stripe.com/currencies#minor-units
"""

from decimal import Decimal

from iso.currencies import DECIMALS

# ISK and UGX have no decimals, and are written with two zeros. MGA is written without.
EXCEPTIONS = {"ISK": 2, "UGX": 2, "MGA": 0}
# The card networks refuse a third decimal other than 0.
THIRD_DECIMAL = 10


def decimals(currency: str) -> int:
    """Return the power of ten between an amount and its minor units."""
    return EXCEPTIONS.get(currency, DECIMALS.get(currency, 2))


def minor_units(amount: Decimal, currency: str) -> int:
    """Return the amount as Stripe writes it. Raises ValueError for one that it cannot charge."""
    scaled = amount.scaleb(decimals(currency))
    units = int(scaled)
    if units != scaled:
        raise ValueError(f"Stripe cannot charge {amount} {currency}: too many decimals.")
    if decimals(currency) == 3 and units % THIRD_DECIMAL:
        raise ValueError(f"Stripe cannot charge {amount} {currency}: the third decimal must be 0.")
    return units


def amount_of(units: int, currency: str) -> Decimal:
    """Return the amount of so many minor units, with the currency's decimals."""
    amount = Decimal(units).scaleb(-decimals(currency))
    whole = amount.quantize(Decimal(1).scaleb(-DECIMALS.get(currency, 2)))
    return whole if whole == amount else amount
