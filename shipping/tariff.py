"""The demo shop's shipping rates."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from iso.currencies import rounded
from shipping.models import Rate, Zone, ZoneCountry


@dataclass(frozen=True)
class ZoneTariff:
    """A zone; rates are (up to grams, price)."""

    name: str
    countries: str
    free_from: str
    rates: Sequence[tuple[int, str]]


# Other countries (Antarctica, North Korea, …) are not delivered to.
TARIFF = (
    ZoneTariff(
        "US domestic", "US", "50.00", [(500, "4.99"), (2_000, "7.99"), (10_000, "14.99"), (50_000, "39.99")]
    ),
    ZoneTariff(
        "Canada and Mexico", "CA MX", "100.00", [(1_000, "12.99"), (5_000, "21.99"), (30_000, "49.99")]
    ),
    ZoneTariff(
        "Europe",
        "AT BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK",
        "150.00",
        [(1_000, "16.99"), (5_000, "29.99"), (30_000, "69.99")],
    ),
    ZoneTariff(
        "Rest of the world",
        "AE AR AU BR CL CO CR HK ID IL IN JP KE KR MA MY NZ PE PH SA SG TH TR TW UY VN ZA",
        "250.00",
        [(1_000, "22.99"), (5_000, "44.99"), (20_000, "99.99")],
    ),
)


def load_tariff(*, currency: str) -> int:
    """Add missing zones; existing ones keep their edits. Return how many."""
    with transaction.atomic():
        return sum(_add(zone, currency) for zone in TARIFF)


def _add(tariff: ZoneTariff, currency: str) -> bool:
    zone, added = Zone.objects.get_or_create(name=tariff.name)
    if added:
        countries = [ZoneCountry(country=country, zone=zone) for country in tariff.countries.split()]
        ZoneCountry.objects.bulk_create(countries, ignore_conflicts=True)
        Rate.objects.bulk_create(_rate(zone, tariff, grams, price, currency) for grams, price in tariff.rates)
    return added


def _rate(zone: Zone, tariff: ZoneTariff, grams: int, price: str, currency: str) -> Rate:
    return Rate(
        zone=zone,
        max_weight_grams=grams,
        price=rounded(Decimal(price), currency),
        currency=currency,
        free_from=rounded(Decimal(tariff.free_from), currency),
    )
