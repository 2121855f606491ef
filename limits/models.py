"""Rate limits of single accounts."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from limits.rates import BLOCKED, Rate

LONGEST_RATE = 20
HOW = "e.g. 50/s or 10/minute; off: no limit; 0: refuse everything. Empty: as for everybody."


def check_rate(text: str) -> None:
    """Raise ValidationError unless the text is a rate, "off" or "0"."""
    if text == BLOCKED:
        return
    try:
        Rate.parse(text)
    except ValueError as error:
        raise ValidationError(f"{error} 0 refuses everything.", code="invalid_rate") from None


def _rate(what: str) -> "models.CharField[str, str]":
    return models.CharField(
        max_length=LONGEST_RATE,
        blank=True,
        default="",
        db_default="",
        validators=[check_rate],
        help_text=what,
    )


class AccountLimit(models.Model):
    """An account's limits where they differ from the defaults."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+", verbose_name="account"
    )
    writes = _rate(f"Orders placed one by one, and all other changes: {HOW}")
    reads = _rate(f"Everything that is looked up: {HOW}")
    bulk_lines = _rate(f"Lines of bulk requests: {HOW}")
    reason = models.CharField(max_length=200, blank=True, default="", db_default="")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"Limits of {self.user}"
