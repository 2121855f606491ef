"""Dates: customers read one format on their page and in mails, with the zone; staff read UTC."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.utils import translation

from notifications import formats
from tests.board import chromium

SCRIPT = Path(__file__).parent.parent.parent / "board" / "static" / "board" / "format.js"
AT = datetime(2026, 11, 30, 23, 42, 10, tzinfo=UTC)
WRITE = """async ([script, name, at]) =>
    (await import("data:text/javascript," + encodeURIComponent(script)))[name](Date.parse(at))"""


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as running:
        yield running


def written(browser, name: str, *, language: str, page: str, zone: str) -> str:
    context = browser.new_context(timezone_id=zone)
    shown = context.new_page()
    shown.set_content(f'<html lang="{language}"><body data-page="{page}"></body></html>')
    text = shown.evaluate(WRITE, [SCRIPT.read_text(), name, AT.isoformat()])
    context.close()
    return " ".join(text.split())


@chromium.needed
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_customers_page_writes_a_moment_as_mails_do(browser, settings, language):
    settings.SHOP_TIME_ZONE = "UTC"
    with translation.override(language):
        in_mail = " ".join(formats.moment(AT).split())
    assert written(browser, "localDay", language=language, page="track", zone="UTC") == in_mail


@chromium.needed
def test_customers_read_their_own_zone_and_staff_utc(browser):
    customers = written(browser, "localDay", language="de", page="track", zone="Europe/Berlin")
    assert customers == "1. Dezember 2026, 00:42 MEZ"
    assert written(browser, "clock", language="en", page="board", zone="Europe/Berlin") == "23:42:10 UTC"
