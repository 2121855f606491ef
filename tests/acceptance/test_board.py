"""The board as people use it: a real browser before the running system."""

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.stack import Stack, wait_until
from tests.board import chromium

pytestmark = chromium.needed

BOOK = {"productName": "Book", "quantity": 1}
PATIENCE = 30_000  # milliseconds
# Collects every state that the connection was in, however short.
WATCH_CONNECTION = """() => {
  const element = document.querySelector("#connection");
  window.linkStates = [element.dataset.state];
  const note = () => window.linkStates.push(element.dataset.state);
  new MutationObserver(note).observe(element, { attributes: true });
}"""


@pytest.fixture(scope="module")
def shared_browser() -> Iterator[Browser]:
    with chromium.browser() as running:
        yield running


@pytest.fixture
def browser(shared_browser: Browser) -> Iterator[Browser]:
    """A browser without windows, cookies or storage of other tests."""
    yield shared_browser
    for context in shared_browser.contexts:
        context.close()


@pytest.fixture(autouse=True)
def healthy_payments(stack: Stack) -> Iterator[None]:
    """Whatever a test does to the payment provider is over with it."""
    yield
    requests.put(f"{stack.url}/api/board/trouble", json={"payments": "none"}, timeout=10)


def open_board(browser: Browser, stack: Stack, **context) -> tuple[Page, chromium.Complaints]:
    page, complaints = chromium.open_page(browser, stack.url + "/", **context)
    page.set_default_timeout(PATIENCE)
    expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE)
    return page, complaints


def place_one(page: Page) -> None:
    page.get_by_role("button", name="Place 1", exact=True).click()
    page.get_by_role("link", name="View order").click()


def confirm(page: Page, what: str) -> None:
    dialog = page.locator("dialog.confirm")
    expect(dialog.locator("button").first).to_be_focused()  # the choice that changes nothing
    dialog.get_by_role("button", name=what).click()


def expect_status(page: Page, status: str) -> None:
    expect(page.locator("#panel .badge").first).to_have_text(status, timeout=PATIENCE)


def count_in(page: Page, lane: str) -> int:
    return int(re.sub(r"\D", "", page.locator(f"[data-lane={lane}] [data-count]").inner_text()))


def test_a_newcomer_places_an_order_and_watches_it_confirm(browser: Browser, stack: Stack) -> None:
    page, complaints = open_board(browser, stack)
    place_one(page)
    expect_status(page, "Confirmed")
    expect(page.locator("#panel .timeline")).to_contain_text("Payment received.")
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).not_to_be_visible()
    expect(page.locator("[data-lane=confirmed] .card").first).to_be_visible()
    assert complaints == []


def test_a_newcomer_breaks_payments_and_sees_an_order_undo_itself(browser: Browser, stack: Stack) -> None:
    page, complaints = open_board(browser, stack)
    page.get_by_role("button", name="Declines").click()
    expect(page.locator("[data-trouble=decline]")).to_have_attribute("aria-pressed", "true")
    place_one(page)
    expect_status(page, "Rejected")
    expect(page.locator("#panel .timeline")).to_contain_text("Items released.")
    page.keyboard.press("Escape")
    expect(page.locator("[data-lane=ended] .card").first).to_contain_text("card declined")
    assert complaints == []


def test_an_order_that_waits_says_what_for_and_goes_on(browser: Browser, stack: Stack) -> None:
    page, complaints = open_board(browser, stack)
    page.get_by_role("button", name="Down", exact=True).click()
    expect(page.locator("[data-trouble=down]")).to_have_attribute("aria-pressed", "true")
    place_one(page)
    expect(page.locator("#panel .explain h3")).to_contain_text("Waiting for", timeout=PATIENCE)
    expect(page.locator("#panel").get_by_role("button", name="Cancel")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("[data-trouble=none]").click()
    expect(page.locator("[data-lane=processing] [data-count]")).to_have_text("0", timeout=2 * PATIENCE)
    assert complaints == []


def test_the_board_comes_back_by_itself_and_has_missed_nothing(browser: Browser, stack: Stack) -> None:
    page, complaints = open_board(browser, stack)
    page.evaluate(WATCH_CONNECTION)
    before = count_in(page, "confirmed")
    for process in stack.processes("config.asgi:application"):
        process.kill()
    orders = [stack.place(BOOK)["orderId"] for _ in range(5)]
    for order_id in orders:
        stack.when(order_id, "Confirmed")

    expect(page.locator("#connection")).to_have_text("Live", timeout=2 * PATIENCE)
    expect(page.locator("[data-lane=confirmed] [data-count]")).to_have_text(
        f"{before + 5:,}", timeout=PATIENCE
    )
    assert "lost" in page.evaluate("window.linkStates")
    assert complaints == []


def test_an_operator_acts_from_the_board(browser: Browser, stack: Stack) -> None:
    order = stack.place(BOOK, hold=True)
    page, complaints = chromium.open_page(browser, f"{stack.url}/admin/login/?next=/")
    name, password = stack.login("operator")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE)
    expect(page.get_by_text("All orders.")).to_be_visible()

    page.goto(f"{stack.url}/#order/{order['orderId']}")
    page.get_by_role("button", name="Process").click(timeout=PATIENCE)
    expect_status(page, "Confirmed")
    page.locator("#panel").get_by_label("Reason").fill("came back")
    page.locator("#panel").get_by_role("button", name="Cancel").click()
    confirm(page, "Cancel order")
    expect_status(page, "Cancelled")
    expect(page.locator("#panel .badge", has_text="Refunded")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#panel .timeline")).to_contain_text("Payment refunded.")
    assert complaints == []


def test_everything_can_be_reached_by_keyboard(browser: Browser, stack: Stack) -> None:
    order = stack.place(BOOK)
    page, complaints = open_board(browser, stack)
    page.keyboard.press("Control+k")
    page.keyboard.type(order["orderNumber"])
    expect(page.locator("#found a")).to_have_count(1)
    expect(page.locator("#found a")).to_contain_text(order["orderNumber"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#panel .number")).to_have_text(order["orderNumber"])
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).not_to_be_visible()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone(browser: Browser, stack: Stack, scheme: str) -> None:
    page, complaints = open_board(browser, stack, viewport={"width": 400, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    stack.place(BOOK)
    page.locator(".card").first.click()
    expect(page.locator("#panel .timeline")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("document.querySelector('#panel').scrollWidth") <= 400
    assert complaints == []


def test_light_and_dark_can_be_chosen_and_stay(browser: Browser, stack: Stack) -> None:
    page, complaints = open_board(browser, stack, color_scheme="light")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert complaints == []


def test_a_customer_follows_their_order(browser: Browser, stack: Stack) -> None:
    order = stack.place(BOOK, hold=True)
    page, complaints = chromium.open_page(browser, f"{stack.url}/track/{order['uuid']}")
    expect(page.get_by_role("heading", level=1)).to_have_text("We've received your order")
    expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE)

    requests.post(f"{stack.url}/api/orders/{order['orderId']}/process", timeout=10)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed", timeout=PATIENCE)
    headline = page.get_by_role("heading", level=1)
    page.get_by_role("link", name="Cancel order").click()
    page.get_by_role("button", name="Keep order").click()
    expect(page.locator("dialog.confirm")).to_have_count(0)
    expect(headline).to_have_text("Your order is confirmed")

    page.get_by_role("link", name="Cancel order").click()
    confirm(page, "Cancel order")
    expect(headline).to_have_text("Your order is cancelled and refunded", timeout=PATIENCE)
    assert complaints == []


def test_without_javascript_it_is_said_in_words(browser: Browser, stack: Stack) -> None:
    order = stack.place(BOOK)
    page, complaints = chromium.open_page(browser, stack.url + "/", java_script_enabled=False)
    expect(page.get_by_role("heading", name="The live board needs JavaScript")).to_be_visible()
    path = page.get_by_role("link", name=order["orderNumber"]).get_attribute("href")
    assert complaints == []

    page, complaints = chromium.open_page(browser, f"{stack.url}{path}", java_script_enabled=False)
    expect(page.locator("noscript p")).to_be_visible()
    assert complaints == []


def test_the_board_says_so_when_it_cannot_be_loaded(browser: Browser, stack: Stack) -> None:
    page = browser.new_page()
    page.route("**/api/board", lambda route: route.abort())
    page.goto(stack.url + "/")
    expect(page.locator("#banner")).to_contain_text("The board cannot be loaded.")
    page.unroute("**/api/board")
    expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE)
    expect(page.locator("#banner")).not_to_be_visible()


def test_a_thousand_orders_end_up_in_their_lanes(browser: Browser, stack: Stack) -> None:
    page, complaints = open_board(browser, stack)
    before = count_in(page, "confirmed")
    page.get_by_role("button", name="Place 1,000").click()
    expect(page.locator("#placed")).to_contain_text("1,000 placed", timeout=2 * PATIENCE)
    wait_until(lambda: count_in(page, "confirmed") >= before + 1000, seconds=120, what="1,000 orders")
    assert count_in(page, "confirmed") == before + 1000
    assert complaints == []
