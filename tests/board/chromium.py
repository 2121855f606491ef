"""A real browser: the system's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",  # of Chromium's own; in a container it has no rights to make one
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def path() -> str | None:
    """Return where Chromium is on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


MISSING = f"No Chromium on this machine (looked for {', '.join(NAMES)} in PATH)."

# In CI a browser is required: without one these tests fail there instead of being skipped.
needed = pytest.mark.skipif(not path() and not os.environ.get("CI"), reason=MISSING)


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium that is there as long as the block runs."""
    if not path():
        pytest.fail(MISSING)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path(), args=ARGUMENTS)
        try:
            yield running
        finally:
            running.close()


class Complaints(list[str]):
    """What a page complains about: errors of its script, on its console, and breaches of its policy."""

    # A server killed by fault injection is no defect of the page; nor are requests that other pages abort.
    EXPECTED = ("WebSocket connection to", "net::ERR_", "503 (Service Unavailable)", "/favicon.ico")

    def __init__(self, page: Page) -> None:
        super().__init__()
        page.on("pageerror", lambda error: self.append(f"script: {error}"))
        page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        text = f"{message.type}: {message.text} ({where})"
        if message.type in ("error", "warning") and not any(expected in text for expected in self.EXPECTED):
            self.append(text)


def open_page(browser: Browser, address: str, **context: Any) -> tuple[Page, Complaints]:
    """Open an address in a browser window of its own."""
    page = browser.new_context(**({"viewport": {"width": 1400, "height": 1000}} | context)).new_page()
    complaints = Complaints(page)
    page.goto(address)
    return page, complaints
