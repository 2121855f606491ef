"""Orders and revenue as a page."""

import re

import pytest

from tests.factories import make_order, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_shows_what_was_sold_and_why_orders_were_refused(browser_of, staff, product, providers, drain):
    make_order((product, 2))
    make_order((product, 1), token="tok_declined")
    drain()
    page = re.sub(r"\s+", " ", browser_of(staff).get("/sales").content.decode())
    assert "<dt>Placed</dt><dd>2</dd>" in page
    assert "<dt>Confirmed</dt><dd>1 · 50 %</dd>" in page
    assert "<dt>Revenue</dt><dd>25.00 USD</dd>" in page
    assert product.name in page
    assert "Your bank declined the payment." in page
    assert "/api/analytics.csv?per=day" in page


@pytest.mark.parametrize("days", ["today", "month", "year", "nonsense"])
def test_other_days_can_be_chosen(browser_of, staff, days):
    page = browser_of(staff).get("/sales", {"days": days})
    assert page.status_code == 200
    assert b"No orders in this range." in page.content


def test_customers_do_not_see_what_the_shop_sells(browser_of, alice):
    answer = browser_of(alice).get("/sales")
    assert answer.status_code == 403
    assert b"Access denied" in answer.content


def test_in_a_demo_the_newcomer_does(client, demo):
    page = client.get("/sales")
    assert page.status_code == 200
    assert b"As CSV" not in page.content


def test_the_board_leads_there_whoever_may_see_it(browser_of, staff):
    assert b'href="/sales"' in browser_of(staff).get("/").content
    assert b'href="/sales"' not in browser_of(make_user()).get("/").content
