"""ISO's codes as Django's models and forms check them."""

from django.core.exceptions import ValidationError

from iso.currencies import DECIMALS


def check_currency(code: str) -> None:
    """Raise ValidationError unless this is the code of a currency."""
    if code not in DECIMALS:
        raise ValidationError("No ISO 4217 code, such as USD.", code="unknown_currency")


def decimals_refused(currency: str) -> ValidationError:
    """Return the refusal of an amount with more decimals than its currency has."""
    return ValidationError(f"{currency} has fewer decimals.", code="max_decimal_places")
