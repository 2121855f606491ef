"""The pages: who gets in, what they may do there, and what a page may load."""

import re
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.test import Client

from config import errors
from orders.models import Journey, Order
from tests.factories import make_order, make_user

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ("/", "/track/{uuid}", "/board/orders/{id}")


def address(pattern, order) -> str:
    return pattern.format(uuid=order.uuid, id=order.order_id)


@pytest.mark.parametrize("pattern", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_nothing_inline(browser_of, alice, product, pattern):
    order = make_order((product, 1), owner=alice)

    response = browser_of(alice).get(address(pattern, order), follow=True)

    assert response.status_code == 200
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "ws://testserver" in policy
    html = response.content.decode()
    assert not re.search(
        r"<script(?![^>]*\b(?:src=|type=\"application/json\"))|<style|\sstyle=|\son\w+=|javascript:", html
    )
    assert not re.search(r"(src|href)=\"(https?:)?//", html)
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("pattern", PAGES)
def test_a_stranger_is_asked_to_log_in(client, product, pattern):
    path = address(pattern, make_order((product, 1)))
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/api/login/login/?next={path}")


def test_in_a_demo_a_stranger_is_the_demo_customer(client, demo, product):
    order = make_order((product, 1), owner=demo)
    assert b"Break the payment provider" in client.get("/").content
    assert client.get(f"/track/{order.uuid}", follow=True).status_code == 200
    assert client.get(f"/board/orders/{order.order_id}").status_code == 200


def test_outside_a_demo_nothing_can_be_broken(browser_of, staff):
    page = browser_of(staff).get("/").content
    assert b"Break the payment provider" not in page
    assert b"Orders per second" in page


def test_a_customer_sees_no_figures_of_the_shop(browser_of, alice):
    page = browser_of(alice).get("/").content
    assert b"Orders per second" not in page
    assert b"uPlot.iife" not in page


def test_without_a_script_the_newest_orders_are_there_in_words(browser_of, alice, product):
    order = make_order((product, 1), owner=alice)
    page = browser_of(alice).get("/").content.decode()
    in_words = page[page.index("<noscript>") : page.index("</noscript>")]
    assert order.number in in_words
    assert f"/track/{order.uuid}" in in_words


def test_the_links_of_the_first_page_are_still_there(browser_of, alice):
    page = browser_of(alice).get("/").content.decode()
    for path in ("/api", "/swagger", "/admin/", "/health", "/api/system/status", "/metrics"):
        assert f'href="{path}"' in page


def test_the_chosen_theme_comes_with_the_page(browser_of, alice):
    browser = browser_of(alice)
    assert b"data-theme" not in browser.get("/").content
    browser.cookies["theme"] = "dark"
    assert b'<html lang="en" data-theme="dark">' in browser.get("/").content
    browser.cookies["theme"] = '"><script>'
    assert b"data-theme" not in browser.get("/").content


@pytest.mark.parametrize("path", ["/", "/board/orders/1", "/track/6f1a2a0e-8a0c-4f0b-9c51-3d0b7a1f2c11"])
def test_pages_are_only_looked_at(browser_of, alice, path):
    assert browser_of(alice).post(path).status_code == 405


# --- The customer's page ----------------------------------------------------------------------------------


def test_an_order_is_tracked_by_its_uuid_only(browser_of, alice, product):
    order = make_order((product, 1), owner=alice)
    browser = browser_of(alice)
    assert browser.get(f"/track/{order.uuid}", follow=True).status_code == 200
    assert browser.get(f"/track/{order.order_id}").status_code == 404
    assert browser.get(f"/track/{order.number}").status_code == 404


def test_nobody_tracks_a_foreign_order(browser_of, alice, product):
    order = make_order((product, 1))
    assert browser_of(alice).get(f"/track/{order.uuid}").status_code == 404
    assert browser_of(alice).get(f"/track/{uuid4()}").status_code == 404


def test_a_customer_is_told_nothing_that_is_for_operators(browser_of, alice, staff, product):
    order = make_order((product, 1), owner=alice)
    Journey.objects.filter(order_id=order.order_id).update(attention="Traceback of horror", due_at=None)
    for user in (alice, staff):
        page = browser_of(user).get(f"/track/{order.uuid}", follow=True).content
        assert b"Our team is on it" in page
        assert b"horror" not in page


# --- The panel --------------------------------------------------------------------------------------------


def test_the_panel_tells_everything_about_an_order(browser_of, alice, product, providers, drain):
    order = make_order((product, 2), owner=alice)
    drain()
    page = browser_of(alice).get(f"/board/orders/{order.number}").content.decode()
    for text in (order.number, "The order is confirmed.", "Capture", "Succeeded", "25.00 USD", product.name):
        assert text in page


def test_the_panel_escapes_what_customers_write(browser_of, alice, product):
    order = make_order((product, 1), owner=alice, customer_name="<img src=x onerror=alert(1)>")
    page = browser_of(alice).get(f"/board/orders/{order.order_id}").content
    assert b"<img" not in page
    assert b"&lt;img" in page


def test_a_foreign_order_is_not_there(browser_of, alice, product):
    order = make_order((product, 1))
    response = browser_of(alice).get(f"/board/orders/{order.order_id}")
    assert response.status_code == 404
    assert order.number.encode() not in response.content


def test_an_address_reads_as_on_an_envelope(browser_of, alice, product):
    order = make_order((product, 1), owner=alice)
    lines = {"city": "Austin", "name": "Ann", "line1": "1 Main St", "region": "TX", "postalCode": "78701"}
    Order.objects.filter(pk=order.order_id).update(shipping_address=lines | {"country": "US"})
    page = browser_of(alice).get(f"/board/orders/{order.order_id}").content.decode()
    assert "Ann<br>1 Main St<br>Austin, TX 78701<br>US</dd>" in re.sub(r"\s*\n\s*", "", page)


def test_what_cannot_be_undone_asks_first(browser_of, alice, product):
    order = make_order((product, 1), owner=alice)
    page = browser_of(alice).get(f"/board/orders/{order.order_id}").content.decode()
    assert f'data-confirm="Cancel order {order.number}?"' in page


def buttons(page: bytes) -> set[str]:
    return set(re.findall(r'data-name="(\w+)"', page.decode()))


def test_a_customer_may_call_their_order_off(browser_of, alice, product):
    order = make_order((product, 1), owner=alice)
    assert buttons(browser_of(alice).get(f"/board/orders/{order.order_id}").content) == {"cancel"}


def test_a_held_order_can_be_started(browser_of, alice, product):
    order = make_order((product, 1), owner=alice, hold=True)
    assert "process" in buttons(browser_of(alice).get(f"/board/orders/{order.order_id}").content)


def test_staff_without_the_permission_may_do_nothing(browser_of, staff, product):
    order = make_order((product, 1))
    assert buttons(browser_of(staff).get(f"/board/orders/{order.order_id}").content) == set()


def test_an_operator_may_do_what_has_an_effect(browser_of, staff, product, providers, drain):
    staff.is_superuser = True
    staff.save()
    order = make_order((product, 1))
    panel = f"/board/orders/{order.order_id}"
    assert buttons(browser_of(staff).get(panel).content) == {"complete", "retry", "cancel"}
    drain()
    assert buttons(browser_of(staff).get(panel).content) == {"complete", "cancel"}


def test_an_operators_traceback_is_for_operators(browser_of, alice, staff, product):
    order = make_order((product, 1), owner=alice)
    with transaction.atomic():
        (journey,) = Journey.objects.lock([order.order_id])
        journey.escalate("poison", details="Traceback: horror")
        Journey.objects.save_all([journey])
    path = f"/board/orders/{order.order_id}"
    assert b"horror" in browser_of(staff).get(path).content
    assert b"horror" not in browser_of(alice).get(path).content


def test_no_link_to_flower_where_there_is_none(browser_of, staff, product):
    order = make_order((product, 1))
    assert settings.FLOWER_URL == ""
    assert b"Flower" not in browser_of(staff).get(f"/board/orders/{order.order_id}").content


def test_an_inactive_demo_customer_lets_nobody_in(demo):
    demo.is_active = False
    demo.save()
    assert Client().get("/").status_code == 302


def test_in_a_demo_one_can_still_be_somebody_else(browser_of, demo, product):
    other = make_user()
    foreign = make_order((product, 1), owner=demo)
    assert browser_of(other).get(f"/board/orders/{foreign.order_id}").status_code == 404


def test_an_order_that_waits_explains_itself_to_operators_and_consoles_its_customer(
    browser_of, alice, staff, product
):
    staff.is_superuser = True
    staff.save()
    order = make_order((product, 1), owner=alice)
    Journey.objects.filter(order_id=order.order_id).update(
        status="processing", waiting_for="payment_provider", batch_id=None
    )
    path = f"/board/orders/{order.order_id}"
    for_staff, for_alice = browser_of(staff).get(path).content, browser_of(alice).get(path).content
    assert b"The payment provider cannot be reached." in for_staff
    assert b"Safe to retry." in for_staff
    assert b"be charged twice" in for_alice
    assert b"breaker" not in for_alice


def test_errors_are_told_on_pages_of_our_own(rf):
    request = rf.get("/nowhere")
    for answer, status, words in (
        (errors.not_found(request), 404, b"Page not found"),
        (errors.bad_request(request, SuspiciousOperation()), 400, b"Bad request"),
        (errors.server_error(request), 500, b"Orders that were placed are safe"),
    ):
        assert answer.status_code == status
        assert words in answer.content


def test_whoever_logs_in_comes_to_the_board(client):
    make_user("carol")
    assert b"<h1>Log in</h1>" in client.get("/api/login/login/").content
    answer = client.post("/api/login/login/", {"username": "carol", "password": "a long password"})
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_a_browser_that_asks_for_an_icon_gets_the_boards(client: Client):
    response = client.get("/favicon.ico")
    assert response.status_code == 302
    assert response["Location"] == f"{settings.STATIC_URL}board/icon.svg"
