"""Django validators of ISO codes."""

from django.core.exceptions import ValidationError

from iso.currencies import DECIMALS, decimals_rule


def check_currency(code: str) -> None:
    """Raise ValidationError for other codes."""
    if code not in DECIMALS:
        raise ValidationError("No ISO 4217 code, such as USD.", code="unknown_currency")


def decimals_refused(currency: str) -> ValidationError:
    return ValidationError(decimals_rule(currency), code="max_decimal_places")
