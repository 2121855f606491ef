"""Template filters for amounts; built in, so that no template loads them."""

from decimal import Decimal

from django import template

from iso.currencies import format_amount, format_number

register = template.Library()


@register.filter
def money(amount: Decimal, currency: str) -> str:
    return format_amount(amount, currency)


@register.filter
def amount_in(amount: Decimal, currency: str) -> str:
    return format_number(amount, currency)
