"""The customer's page by its signed link: no login, one order, in their language, and cancelling asks first."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client

from orders.commands import complete_order
from orders.http import links
from orders.models import Order
from scheduling.slots import database_now
from tests.factories import make_order

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = {
    "name": "Kay Web",
    "line1": "Lindenstr. 5",
    "postalCode": "10969",
    "city": "Berlin",
    "country": "DE",
}


def path_of(order, **options) -> str:
    return f"/track/{links.track_token(order.order_id, order.placed_at, **options)}"


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


@pytest.fixture
def order(product):
    placed = make_order((product, 2), hold=True)
    Order.objects.filter(pk=placed.order_id).update(shipping_address=ADDRESS, email="kay@example.com")
    return placed


def test_whoever_has_the_link_sees_the_order_and_where_it_goes(client, order, product):
    answer = client.get(path_of(order))
    text = words(answer.content.decode())
    for wanted in (order.number, product.name, "Kay Web Lindenstr. 5 10969 Berlin Germany", "Order received"):
        assert wanted in text
    assert "kay@example.com" not in text
    assert answer["X-Robots-Tag"] == "noindex, nofollow"
    assert answer["Referrer-Policy"] == "same-origin"


def test_it_tells_few_steps_and_what_is_next(client, product, providers, drain):
    order = make_order((product, 1))
    drain()
    steps = re.findall(
        r'<li data-state="(\w+)".*?<strong>(.*?)</strong>', client.get(path_of(order)).content.decode()
    )
    assert steps == [("done", "Order received"), ("done", "Paid and confirmed"), ("now", "Shipped")]


def test_the_api_has_the_link_and_it_is_the_same_each_time(api, alice, product):
    placed = make_order((product, 1), owner=alice)
    found = {api(alice).get(f"/api/orders/{placed.order_id}").json()["links"]["track"] for _ in range(2)}
    assert found == {path_of(placed)}


def test_links_that_expired_were_revoked_or_are_made_up_show_no_order(client, order, settings):
    settings.SHOP_SUPPORT_EMAIL = "help@shop.example"
    settings.TRACK_LINK_DAYS = 0
    old = path_of(order)
    settings.TRACK_LINK_DAYS = 180
    ticket = links.live_ticket(Order.objects.get(), now=database_now()).sign()
    for path, status, text in (
        (old, 410, "This link has expired"),
        (path_of(order, version=1), 404, "We can't find this order"),
        (path_of(order)[:-2] + "AA", 404, "We can't find this order"),
        (f"/track/{ticket}", 404, "We can't find this order"),
        ("/track/" + "x" * 3000, 404, "We can't find this order"),
    ):
        answer = client.get(path)
        assert answer.status_code == status
        page = words(answer.content.decode())
        assert text in page
        assert "help@shop.example" in page
        assert order.number not in page


def test_cancelling_asks_first_and_works_without_javascript(order):
    client = Client(enforce_csrf_checks=True)
    page = client.get(path_of(order)).content.decode()
    (asking,) = re.findall(r'id="cancel" href="([^"]+)"', page)
    form = client.get(asking).content.decode()
    assert f"Cancel this order? {order.number}" in words(form)
    assert Order.objects.get().journey.status == "pending"
    assert client.post(asking).status_code == 403  # without the form's token
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    answer = client.post(asking, {"csrfmiddlewaretoken": token}, follow=True)
    assert answer.redirect_chain == [(path_of(order), 303)]
    assert "Your order is cancelled" in words(answer.content.decode())


def test_what_can_no_longer_be_cancelled_says_so(client, product, providers, drain):
    order = make_order((product, 1))
    drain()
    complete_order(order_id=order.order_id)
    answer = client.post(f"{path_of(order)}/cancel")
    assert answer.status_code == 409
    assert "This order can no longer be cancelled." in words(answer.content.decode())


@pytest.mark.parametrize(
    ("asked", "language", "shown"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de", ["Ihre Bestellung ist zurückgestellt.", "20,00\xa0$"]),
        ("fr,de;q=0.5", "de", ["Ihre Bestellung ist zurückgestellt.", "20,00\xa0$"]),
        ("fr", "en", ["Your order is on hold.", "$20.00"]),
    ],
)
def test_it_speaks_the_browsers_language_with_amounts_and_dates(client, order, asked, language, shown):
    page = client.get(path_of(order), headers={"Accept-Language": asked}).content.decode()
    assert f'<html lang="{language}"' in page
    assert [text for text in shown if text not in unescape(page)] == []


@pytest.mark.parametrize(("language", "shown"), [("en-GB", "en"), ("fr", "de"), ("", "de")])
def test_an_orders_own_language_comes_before_the_browsers(client, order, language, shown):
    Order.objects.update(language=language)
    page = client.get(path_of(order), headers={"Accept-Language": "de"}).content.decode()
    assert f'<html lang="{shown}"' in page


def test_the_shop_is_named_and_coloured_by_settings(client, order, settings):
    settings.SHOP_NAME, settings.SHOP_COLOR = "Kay's Lamps", "#ffee00"
    settings.SHOP_LOGO_URL, settings.SHOP_SUPPORT_EMAIL = "https://cdn.example/logo.svg", "help@shop.example"
    answer = client.get(path_of(order))
    page = answer.content.decode()
    assert "Kay's Lamps" in unescape(page)
    assert "Order pipeline" not in page
    assert 'src="https://cdn.example/logo.svg"' in page
    assert "img-src 'self' https://cdn.example" in answer["Content-Security-Policy"]
    assert f"mailto:help@shop.example?subject={order.number}" in page
    theme = client.get("/track/theme.css").content.decode()
    assert "#ffee00;" not in theme  # unreadable on white, so darker
    assert "#ffee00)" in theme


def test_an_old_order_still_opens_for_its_account(browser_of, alice, product, settings):
    settings.TRACK_LINK_DAYS = 0
    order = make_order((product, 1), owner=alice)
    answer = browser_of(alice).get(f"/track/{order.uuid}", follow=True)
    assert (answer.status_code, len(answer.redirect_chain)) == (200, 1)
    link = links.read(answer.redirect_chain[0][0].rpartition("/")[2], now=database_now())
    assert link.expires_at > (database_now() + timedelta(hours=23)).timestamp()
