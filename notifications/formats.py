"""Amounts, dates and addresses by the active language, in the shop's time zone."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone, get_timezone_name
from babel.numbers import format_percent
from django.conf import settings
from django.utils.translation import get_language, to_locale

from iso.currencies import DECIMALS
from notifications import wording
from orders.models import Order
from orders.rules.adjustments import Adjustment, of_line

# Where the postal code follows the city.
CODE_LAST = frozenset({"AU", "CA", "GB", "IE", "IN", "NZ", "US", "ZA"})
# What mail programs link.
LINK = re.compile(r"://|www\.|@|\w[.\u3002\uff0e\uff61][^\W\d_]{2,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShownAdjustment:
    name: str
    amount: str
    included: bool


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as it is written in the active language, such as $1,059.97 or 1.059,97 €."""
    # By ISO 4217: Unicode's decimals are those of cash, such as none in HUF, and would round the amount.
    decimals, pattern = DECIMALS.get(currency, 2), copy(_locale().currency_formats["standard"])
    pattern.frac_prec = (decimals, decimals)
    return str(pattern.apply(amount, _locale(), currency=currency, currency_digits=False))


def adjustments(order: Order, place: int | None = None) -> Sequence[ShownAdjustment]:
    """Return adjustments in the active language: Tax (VAT, 19%), and those included in the prices.

    `place`: of the line at that place; None: of the order as a whole.
    """
    return [
        ShownAdjustment(_name(each), money(each.amount, order.currency), each.included)
        for each in of_line(order.adjustment_list, place)
    ]


def _name(adjustment: Adjustment) -> str:
    """Return what it is; a code that mail programs would link is left out."""
    code = "" if LINK.search(adjustment.code) else adjustment.code
    rate = "" if adjustment.rate is None else _percent(adjustment.rate)
    details = ", ".join(filter(None, (code, rate)))
    name = str(wording.ADJUSTMENTS[adjustment.kind])
    if adjustment.included:
        name = str(wording.INCLUDED).format(name=name)
    return f"{name} ({details})" if details else name


def _percent(rate: Decimal) -> str:
    return format_percent(rate, locale=_locale(), decimal_quantization=False)


def moment(at: datetime) -> str:
    zone, locale = get_timezone(settings.SHOP_TIME_ZONE), _locale()
    local = at.astimezone(zone)
    date, time = (
        format_date(local, "long", locale=locale),
        format_time(local, "short", tzinfo=zone, locale=locale),
    )
    return f"{date}, {time} {get_timezone_name(local, width='short', locale=locale)}"


def address_lines(order: Order) -> list[str]:
    """Return the delivery address as on an envelope; empty if the order has none."""
    given = order.shipping_address
    country = str(given.get("country") or order.country)
    code, city, region = (str(given.get(name) or "") for name in ("postalCode", "city", "region"))
    if country in CODE_LAST:
        place = ", ".join(filter(None, (city, " ".join(filter(None, (region, code))))))
    else:
        place = ", ".join(filter(None, (" ".join(filter(None, (code, city))), region)))
    lines = [given.get("name"), given.get("line1"), given.get("line2"), place]
    found = [str(line) for line in lines if line]
    return [*found, _locale().territories.get(country, country)] if found else []


def _locale() -> Locale:
    return _locale_of(get_language() or settings.SHOP_LANGUAGE)


@cache
def _locale_of(language: str) -> Locale:
    try:
        return Locale.parse(to_locale(language))
    except (UnknownLocaleError, ValueError):
        return Locale.parse(settings.SHOP_LANGUAGE)
