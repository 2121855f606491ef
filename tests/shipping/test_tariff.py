"""The demo shop's price list of delivery."""

from decimal import Decimal

import pytest

from shipping.models import Rate, Zone, ZoneCountry
from shipping.quotes import Parcel, Refusal, quote
from shipping.tariff import TARIFF, load_tariff

pytestmark = pytest.mark.django_db


def test_no_country_is_in_two_zones():
    countries = [country for zone in TARIFF for country in zone.countries.split()]
    assert len(set(countries)) == len(countries)


def test_heavier_parcels_cost_more():
    for zone in TARIFF:
        prices = [Decimal(price) for _, price in sorted(zone.rates)]
        assert prices == sorted(prices)


def test_it_delivers_to_most_countries_and_not_to_all():
    load_tariff(currency="EUR")
    countries = ("US", "DE", "JP", "MX", "AQ", "KP")
    parcels = [Parcel(n, country, 800, Decimal("20"), "EUR") for n, country in enumerate(countries)]
    refused = [isinstance(answer, Refusal) for answer in quote(parcels=parcels).values()]
    assert refused == [False, False, False, False, True, True]


def test_loading_again_leaves_what_people_changed():
    assert load_tariff(currency="USD") == len(TARIFF)
    ZoneCountry.objects.filter(country="DE").delete()
    Zone.objects.get(name="Europe").rates.all().delete()
    Rate.objects.update(price=Decimal("1.00"))
    before = list(Rate.objects.values())
    assert load_tariff(currency="USD") == 0
    assert list(Rate.objects.values()) == before
    assert not ZoneCountry.objects.filter(country="DE").exists()
