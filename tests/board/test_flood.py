"""The board under a flood, in a real browser: it drops updates of cards and never a count.

`pytest tests/board/test_flood.py -s` prints the frame rate; FLOOD=1000x10 is 1,000 orders per second for 10 s.
"""

import os
import re
import sys
from collections.abc import Sequence

import pytest
from playwright.sync_api import Page, expect

from tests.board import chromium
from tests.board.flood import Flood, FloodServer
from tests.waiting import until

pytestmark = chromium.needed

# Notes the milliseconds from each frame to the next.
WATCH_FRAMES = """() => {
  window.framesSeen = [];
  let last = performance.now();
  const note = (now) => { window.framesSeen.push(now - last); last = now; requestAnimationFrame(note); };
  requestAnimationFrame(note);
}"""


@pytest.fixture
def flood() -> Flood:
    per_second, _, seconds = os.environ.get("FLOOD", "1000x4").partition("x")
    return Flood(per_second=int(per_second), seconds=float(seconds))


def count_in(page: Page, lane: str) -> int:
    """Return how many orders a lane says it has."""
    return int(re.sub(r"\D", "", page.locator(f"[data-lane={lane}] [data-count]").inner_text()))


def test_every_order_is_counted_and_few_are_drawn(flood):
    with FloodServer(flood).running() as server, chromium.browser() as browser:
        page, complaints = chromium.open_page(browser, server.url)
        expect(page.locator("#connection")).to_have_text("Live")
        page.evaluate(WATCH_FRAMES)
        server.may_begin.set()
        until(server.is_over.is_set, seconds=120)
        frames = page.evaluate("window.framesSeen")

        expect(page.locator("[data-lane=pending] [data-count]")).to_have_text("0")
        expect(page.locator("[data-lane=processing] [data-count]")).to_have_text("0")
        expect(page.locator("[data-lane=undoing] [data-count]")).to_have_text("0")
        assert count_in(page, "confirmed") == flood.final["Confirmed"]
        assert count_in(page, "ended") == flood.final["Rejected"]
        assert sum(flood.final.values()) == flood.orders
        assert page.locator(".card").count() <= 7 * 8
        assert complaints == []
    sys.stdout.write(f"\n{told(flood, frames)}\n")


def told(flood: Flood, frames: Sequence[float]) -> str:
    """Return in words how long frames took."""
    frames = sorted(frames)
    half, most, nearly_all = (frames[int(len(frames) * share)] for share in (0.5, 0.95, 0.99))
    late = sum(frame > 34 for frame in frames)
    return (
        f"{flood.orders} orders: {len(frames) * 1000 / sum(frames):.1f} frames per second, half within"
        f" {half:.1f} ms, 95 % within {most:.1f} ms, 99 % within {nearly_all:.1f} ms, the longest"
        f" {frames[-1]:.0f} ms; {late} of {len(frames)} came more than one frame late"
    )
