"""Amounts, dates and addresses by the active language, in the shop's time zone."""

from datetime import datetime
from decimal import Decimal
from functools import cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone, get_timezone_name
from babel.numbers import format_currency
from django.conf import settings
from django.utils.translation import get_language, to_locale

from orders.models import Order

# Where the postal code follows the city.
CODE_LAST = frozenset({"AU", "CA", "GB", "IE", "IN", "NZ", "US", "ZA"})


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as it is written in the active language, such as $1,059.97 or 1.059,97 €."""
    return format_currency(amount, currency, locale=_locale())


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
