"""Orders in currencies with 0, 2 and 3 decimals: as placed, charged, shown, mailed and exported."""

import json
import shutil
import subprocess
from decimal import Decimal

import pytest
from django.conf import settings as project
from django.db import connection
from django.template import Context, Template
from rest_framework.test import APIClient

from inventory.models import Product
from iso.currencies import DECIMALS, amount_text, format_amount
from orders.models import Journey, Order
from payments.gateways import gateway
from payments.gateways.stripe.amounts import amount_of, minor_units
from payments.models import Transaction
from tests.factories import make_product, make_shipping, make_user
from tests.fixtures.pipeline import work_off

BOARD_SCRIPT = project.BASE_DIR / "board/static/board/format.js"
PRICES = {"JPY": "1999", "USD": "19.50", "KWD": "1.234"}


@pytest.mark.parametrize(
    ("amount", "currency", "sent", "shown"),
    [
        ("1999", "JPY", "1999", "1,999 JPY"),
        ("1999.00", "JPY", "1999", "1,999 JPY"),
        ("1234.5", "USD", "1234.50", "1,234.50 USD"),
        ("1.234", "KWD", "1.234", "1.234 KWD"),
        ("1", "KWD", "1.000", "1.000 KWD"),
    ],
)
def test_an_amount_has_its_currencys_decimals(amount, currency, sent, shown):
    assert amount_text(Decimal(amount), currency) == sent
    assert format_amount(Decimal(amount), currency) == shown
    page = Template("{{ amount|money:currency }}").render(
        Context({"amount": Decimal(amount), "currency": currency})
    )
    assert page == shown


def test_an_amount_with_too_many_decimals_is_never_rounded_on_its_way_to_a_provider():
    with pytest.raises(ValueError, match="too many decimals"):
        amount_text(Decimal("1999.50"), "JPY")


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("12.34", "USD", 1234),
        ("500", "JPY", 500),
        ("5.120", "KWD", 5120),
        ("5", "ISK", 500),
        ("5", "UGX", 500),
        ("5", "MGA", 5),
    ],
)
def test_stripe_gets_minor_units_with_its_own_exceptions(amount, currency, units):
    assert minor_units(Decimal(amount), currency) == units
    assert amount_of(units, currency) == Decimal(amount)


@pytest.mark.parametrize(("amount", "currency"), [("5.124", "KWD"), ("5.50", "JPY"), ("0.5", "MGA")])
def test_stripe_is_never_sent_what_it_cannot_charge(amount, currency):
    with pytest.raises(ValueError, match="Stripe cannot charge"):
        minor_units(Decimal(amount), currency)


def test_every_currency_goes_to_stripe_and_back():
    for currency, decimals in DECIMALS.items():
        amount = Decimal(7) if currency == "MGA" else Decimal("1.110").quantize(Decimal(1).scaleb(-decimals))
        assert amount_of(minor_units(amount, currency), currency) == amount


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize("currency", PRICES)
def test_an_order_is_charged_in_its_currencys_decimals(settings, currency):
    make_shipping()
    product = make_product(units=5)
    Product.objects.filter(pk=product.pk).update(price=PRICES[currency], currency=currency)
    connection.cursor().execute("UPDATE shipping_rate SET price = 5, currency = %s", [currency])
    client = APIClient()
    client.force_authenticate(make_user())
    body = {
        "customerName": "Alice",
        "currency": currency,
        "items": [{"sku": product.sku, "quantity": 2, "price": float(PRICES[currency])}],
        "shippingAddress": {"country": "US"},
        "payment": {"token": "tok_visa"},
    }
    placed = client.post("/api/orders", body, format="json")
    assert placed.status_code == 201, placed.content
    work_off()

    order = Order.objects.get(uuid=placed.json()["uuid"])
    assert Journey.objects.get(order_id=order.pk).status == "confirmed"
    total = Decimal(PRICES[currency]) * 2 + 5
    assert Transaction.objects.get(order_id=order.pk, kind="capture").amount == total
    (line,) = (line for line in gateway().ledger() if line.reference == str(order.uuid))
    assert (line.captured, line.currency) == (total, currency)


@pytest.mark.django_db
def test_a_yen_price_with_decimals_is_refused_with_its_field():
    client = APIClient()
    client.force_authenticate(make_user())
    product = make_product()
    body = {
        "customerName": "Alice",
        "currency": "JPY",
        "items": [{"sku": product.sku, "quantity": 1, "price": 1999.99}],
        "payment": {"token": "tok_visa"},
    }
    refused = client.post("/api/orders", body, format="json")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["field"]) == (
        400,
        "too_many_decimals",
        "items[0].price",
    )


@pytest.mark.django_db(transaction=True)
def test_an_amount_loses_its_precision_without_a_rewrite():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE amounts (amount numeric(12, 2) NOT NULL)")
        try:
            cursor.execute("INSERT INTO amounts VALUES (12.50)")
            cursor.execute("SELECT pg_relation_filenode('amounts')")
            before = cursor.fetchone()
            cursor.execute("ALTER TABLE amounts ALTER COLUMN amount TYPE numeric USING amount::numeric")
            cursor.execute("INSERT INTO amounts VALUES (1.234)")
            cursor.execute("SELECT pg_relation_filenode('amounts')")
            assert cursor.fetchone() == before
            cursor.execute("SELECT amount::text FROM amounts ORDER BY amount")
            assert [text for (text,) in cursor.fetchall()] == ["1.234", "12.50"]
        finally:
            cursor.execute("DROP TABLE amounts")


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_the_boards_script_writes_the_decimals_that_are_charged():
    """Browsers have those of cash: none of COP."""
    script = f"""
        const page = {{ decimals: {{ textContent: `{json.dumps(DECIMALS)}` }} }};
        globalThis.document = {{ documentElement: {{ lang: "en" }}, getElementById: (id) => page[id] }};
        const {{ money }} = await import("{BOARD_SCRIPT.as_uri()}");
        console.log(["COP", "KWD", "JPY"].map((currency) => money(10.5, currency)).join(" "));
    """
    shown = subprocess.check_output(["node", "--input-type=module", "-e", script], text=True, timeout=30)
    assert shown.replace("\xa0", "").split() == ["$10.50", "KWD10.500", "¥11"]
