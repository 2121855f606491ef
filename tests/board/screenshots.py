"""`make screenshots`: the README's pictures, taken of a running system of its own with the system's Chromium."""

import sys
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import requests
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.stack import Stack, running_stack, wait_until
from tests.board import chromium

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDE, NARROW = {"width": 1360, "height": 860}, {"width": 400, "height": 860}
SETTLED = 2500  # milliseconds until charts and lamps have been asked and motion is over
PATIENCE = 60_000


def main() -> None:
    if not chromium.path():
        sys.exit("make screenshots needs Chromium, and there is none in PATH.")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder)) as stack,
        chromium.browser() as browser,
    ):
        tour(browser, stack)


def tour(browser: Browser, stack: Stack) -> None:
    """Do what a newcomer does, and take a picture of each thing seen."""
    page = _board(browser, stack, color_scheme="light")
    _place(page, "mixed", "Place 1,000")
    _wait_for_confirmed(page, at_least=900)
    _tell(stack, range(1, 25), "complete")
    _break(page, "decline")
    for _ in range(2):
        _place(page, "good orders", "Place 1")
    undone = page.get_by_role("link", name="View order").get_attribute("href") or ""
    page.wait_for_timeout(SETTLED)
    _break(page, "down")
    for _ in range(8):
        _place(page, "good orders", "Place 1")
    _tell(stack, range(31, 34), "cancel")
    _place(page, "on hold", "Place 1")
    page.locator("#kind").select_option(label="good orders")
    expect(page.locator("[data-lane=processing] .note").first).to_contain_text(
        "Waiting for", timeout=PATIENCE
    )
    page.wait_for_timeout(SETTLED)
    _take(page, "board")

    dark = _board(browser, stack, color_scheme="dark")
    _take(dark, "board-dark")
    dark.locator("[data-lane=processing] .card").first.click()
    expect(dark.locator("#panel .explain")).to_be_visible(timeout=PATIENCE)
    _take(dark, "waiting")
    _take(_board(browser, stack, viewport=NARROW), "narrow")

    page.goto(f"{stack.url}/{undone}")
    expect(page.locator("#panel .badge").first).to_have_text("Rejected", timeout=PATIENCE)
    _take(page, "undone")
    page.goto(stack.url + (page.get_by_role("link", name="Customer page").get_attribute("href") or ""))
    _take(page, "customer")
    page.goto(f"{stack.url}/sales?days=today")
    _take(page, "sales")
    _take(_desk(browser, stack), "desk")


def _board(browser: Browser, stack: Stack, **context: object) -> Page:
    page, _ = chromium.open_page(browser, stack.url + "/", **({"viewport": WIDE} | context))
    expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE)
    return page


def _desk(browser: Browser, stack: Stack) -> Page:
    page, _ = chromium.open_page(browser, f"{stack.url}/admin/", viewport=WIDE, color_scheme="light")
    name, password = stack.login("operator")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1).first).to_be_visible(timeout=PATIENCE)
    return page


def _tell(stack: Stack, order_ids: Iterable[int], operation: str) -> None:
    for order_id in order_ids:
        requests.post(f"{stack.url}/api/orders/{order_id}/{operation}", timeout=10)


def _place(page: Page, kind: str, button: str) -> None:
    page.locator("#kind").select_option(label=kind)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("#placed")).to_contain_text("laced. ", timeout=PATIENCE)
    page.wait_for_timeout(400)


def _wait_for_confirmed(page: Page, *, at_least: int) -> None:
    count = page.locator("[data-lane=confirmed] [data-count]")
    wait_until(lambda: int(count.inner_text().replace(",", "")) >= at_least, seconds=120, what="the orders")


def _break(page: Page, trouble: str) -> None:
    page.locator(f"[data-trouble={trouble}]").click()
    expect(page.locator(f"[data-trouble={trouble}]")).to_have_attribute("aria-pressed", "true")


def _take(page: Page, name: str) -> None:
    page.wait_for_timeout(SETTLED)
    _save(page.screenshot(), name)


def _save(picture: bytes, name: str) -> None:
    """Save a picture with its own palette: a third of the bytes, without a visible difference."""
    with Image.open(BytesIO(picture)) as image:
        few = image.convert("RGB").quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
