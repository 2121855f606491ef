"""What it costs to deliver a parcel."""

from decimal import Decimal
from typing import Any

import pytest

from shipping.models import Rate, Zone, ZoneCountry
from shipping.quotes import Parcel, Refusal, quote

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def europe():
    zone = Zone.objects.create(name="Europe")
    ZoneCountry.objects.bulk_create(ZoneCountry(country=country, zone=zone) for country in ("DE", "FR"))
    for weight, price in ((5_000, "19.90"), (1_000, "9.90")):
        Rate.objects.create(
            zone=zone,
            max_weight_grams=weight,
            price=Decimal(price),
            currency="USD",
            free_from=Decimal("100.00"),
        )
    return zone


def parcel(order_id: int = 1, **changes) -> Parcel:
    usual: dict[str, Any] = {
        "country": "DE",
        "weight_grams": 800,
        "goods_amount": Decimal("50.00"),
        "currency": "USD",
    }
    return Parcel(order_id, **usual | changes)


def code_for(**changes) -> str:
    refusal = quote(parcels=[parcel(**changes)])[1]
    assert isinstance(refusal, Refusal)
    return refusal.code


def test_the_cheapest_rate_that_carries_the_weight_is_the_price():
    answers = quote(
        parcels=[parcel(1), parcel(2, weight_grams=1_000), parcel(3, weight_grams=1_001, country="FR")]
    )
    assert answers == {1: Decimal("9.90"), 2: Decimal("9.90"), 3: Decimal("19.90")}


def test_goods_worth_enough_ship_free():
    answers = quote(
        parcels=[parcel(1, goods_amount=Decimal("99.99")), parcel(2, goods_amount=Decimal("100.00"))]
    )
    assert answers == {1: Decimal("9.90"), 2: Decimal("0.00")}


def test_a_rate_without_a_threshold_is_never_free(europe):
    europe.rates.update(free_from=None)
    assert quote(parcels=[parcel(goods_amount=Decimal("1000000"))]) == {1: Decimal("9.90")}


def test_a_country_in_no_zone_is_not_shippable():
    assert code_for(country="AQ") == "not_shippable"


def test_a_zone_without_rates_is_not_shippable(europe):
    europe.rates.all().delete()
    assert code_for() == "not_shippable"


def test_a_parcel_beyond_the_heaviest_rate_is_too_heavy():
    assert code_for(weight_grams=5_001) == "too_heavy"


def test_a_currency_without_rates_is_refused():
    assert code_for(currency="JPY") == "no_rate_in_currency"


def test_each_parcel_of_a_batch_has_its_own_answer():
    answers = quote(parcels=[parcel(n, country=("DE", "AQ", "FR")[n % 3]) for n in range(100)])
    assert sum(isinstance(answer, Refusal) for answer in answers.values()) == 33


def test_no_parcels_have_no_answers():
    assert quote(parcels=[]) == {}
