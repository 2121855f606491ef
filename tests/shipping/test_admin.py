"""Zones, rates and countries on the operators' desk."""

import pytest

from shipping.models import Rate, Zone, ZoneCountry
from shipping.tariff import load_tariff

pytestmark = pytest.mark.django_db

ZONES = "/admin/shipping/zone/"


def zone_form(*, countries: list[str], stored: int = 0) -> dict[str, object]:
    """What the form of a zone called Alps sends; the first `stored` countries are there already."""
    sent: dict[str, object] = {
        "name": "Alps",
        "rates-TOTAL_FORMS": 1,
        "rates-INITIAL_FORMS": 0,
        "rates-0-max_weight_grams": 1000,
        "rates-0-price": "9.90",
        "rates-0-currency": "EUR",
        "countries-TOTAL_FORMS": len(countries),
        "countries-INITIAL_FORMS": stored,
    }
    return sent | {f"countries-{place}-country": country for place, country in enumerate(countries)}


def codes() -> set[str]:
    return set(ZoneCountry.objects.values_list("country", flat=True))


def test_the_list_shows_where_each_zone_is(admin_client):
    load_tariff(currency="USD")
    assert "CA, MX" in admin_client.get(ZONES).content.decode()


def test_a_zone_is_found_by_a_country(admin_client):
    load_tariff(currency="USD")
    assert [zone.name for zone in admin_client.get(ZONES, {"q": "mx"}).context["cl"].queryset] == [
        "Canada and Mexico"
    ]


def test_a_zone_is_made_with_its_rates_and_countries(admin_client):
    assert admin_client.post(f"{ZONES}add/", zone_form(countries=["at", "CH"])).status_code == 302
    assert codes() == {"AT", "CH"}
    assert Rate.objects.get().zone.name == "Alps"


def test_a_rate_has_the_decimals_of_its_currency(admin_client):
    yen = zone_form(countries=["JP"]) | {"rates-0-currency": "JPY"}
    refused = admin_client.post(f"{ZONES}add/", yen | {"rates-0-price": "500.4"})
    assert "JPY has no decimals." in refused.content.decode()
    assert admin_client.post(f"{ZONES}add/", yen | {"rates-0-price": "500.00"}).status_code == 302
    assert str(Rate.objects.get().price) == "500"


@pytest.mark.parametrize("country", ["A", "1A", "É1", "--", "UK", "XX"])
def test_a_code_that_is_none_is_refused(admin_client, country):
    assert (
        "No ISO 3166 code"
        in admin_client.post(f"{ZONES}add/", zone_form(countries=[country])).content.decode()
    )
    assert not Zone.objects.exists()


def test_a_country_cannot_be_in_two_zones(admin_client):
    load_tariff(currency="USD")
    assert "already exists" in admin_client.post(f"{ZONES}add/", zone_form(countries=["AT"])).content.decode()
    assert ZoneCountry.objects.get(country="AT").zone.name == "Europe"


def test_a_country_is_not_renamed_but_can_be_taken_out(admin_client):
    zone = Zone.objects.create(name="Alps")
    ZoneCountry.objects.create(country="AT", zone=zone)
    url = f"{ZONES}{zone.pk}/change/"
    assert admin_client.post(url, zone_form(countries=["CH"], stored=1)).status_code == 302
    assert codes() == {"AT"}
    sent = zone_form(countries=["AT"], stored=1) | {"countries-0-DELETE": "on", "rates-TOTAL_FORMS": 0}
    assert admin_client.post(url, sent).status_code == 302
    assert codes() == set()


@pytest.mark.parametrize(("currency", "price"), [("usd", "5"), ("XYZ", "5"), ("JPY", "5.50")])
def test_a_rate_that_nobody_could_pay_is_refused(admin_client, currency, price):
    form = zone_form(countries=["AT"]) | {"rates-0-currency": currency, "rates-0-price": price}
    assert admin_client.post(f"{ZONES}add/", form).status_code == 200
    assert not Rate.objects.exists()
