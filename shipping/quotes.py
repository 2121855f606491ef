"""Shipping quotes for parcels, or refusals."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from database.prepared import execute
from iso.currencies import rounded

NOT_SHIPPABLE = "not_shippable"
NO_RATE_IN_CURRENCY = "no_rate_in_currency"
TOO_HEAVY = "too_heavy"

FREE = Decimal(0)
CACHE_SECONDS = 2.0

PRICE_LISTS = """
    SELECT c.country, r.currency, r.max_weight_grams, r.price, r.free_from
    FROM shipping_zonecountry c LEFT JOIN shipping_rate r USING (zone_id)
    WHERE c.country = ANY(%s::text[]) ORDER BY r.max_weight_grams
"""


class Parcel(NamedTuple):
    """An order's goods and destination (ISO 3166 code), and what is charged beside goods and shipping."""

    order_id: int
    country: str
    weight_grams: int
    goods_amount: Decimal
    currency: str
    adjustment_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: stable code, sentence for people."""

    code: str
    message: str


class RateLine(NamedTuple):
    """A line of a country's price list."""

    currency: str | None  # None: the zone has no rates yet
    max_weight_grams: int
    price: Decimal
    free_from: Decimal | None


def quote(*, parcels: Sequence[Parcel]) -> dict[int, Decimal | Refusal]:
    """Return prices or refusals by order id, in one query."""
    price_lists = _price_lists({parcel.country for parcel in parcels})
    return {parcel.order_id: _quote(parcel, price_lists.get(parcel.country, [])) for parcel in parcels}


class _PriceLists:
    """This process's cache of price lists."""

    def __init__(self) -> None:
        self._lists: dict[str, tuple[float, list[RateLine]]] = {}

    def get(self, country: str) -> list[RateLine]:
        until, rates = self._lists.get(country, (0.0, []))
        if time.monotonic() >= until:
            rates = _price_lists({country}).get(country, [])
            self._lists[country] = (time.monotonic() + CACHE_SECONDS, rates)
        return rates

    def forget(self) -> None:
        self._lists.clear()


_cached = _PriceLists()
forget_price_lists = _cached.forget


def estimate(parcel: Parcel) -> Decimal | Refusal:
    """Return a parcel's price or refusal, from price lists up to CACHE_SECONDS old."""
    return _quote(parcel, _cached.get(parcel.country))


def _price_lists(countries: set[str]) -> dict[str, list[RateLine]]:
    price_lists: dict[str, list[RateLine]] = {}
    for country, *rate in execute(PRICE_LISTS, [list(countries)]):
        price_lists.setdefault(country, []).append(RateLine(*rate))
    return price_lists


def _quote(parcel: Parcel, price_list: Sequence[RateLine]) -> Decimal | Refusal:
    if not any(rate.currency for rate in price_list):
        return Refusal(NOT_SHIPPABLE, f"We do not deliver to {parcel.country}.")
    rates = [rate for rate in price_list if rate.currency == parcel.currency]
    if not rates:
        return Refusal(
            NO_RATE_IN_CURRENCY, f"Delivery to {parcel.country} has no price in {parcel.currency}."
        )
    for rate in rates:
        if parcel.weight_grams <= rate.max_weight_grams:
            # A rate may be stored with more decimals than its currency has; no total may.
            return rounded(_price(rate, parcel.goods_amount), parcel.currency)
    heaviest = rates[-1].max_weight_grams
    return Refusal(TOO_HEAVY, f"{parcel.weight_grams} g; to {parcel.country} we deliver up to {heaviest} g.")


def _price(rate: RateLine, goods_amount: Decimal) -> Decimal:
    is_free = rate.free_from is not None and goods_amount >= rate.free_from
    return FREE if is_free else rate.price
