"""Chromium on this machine, and checks of a page."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

FAULTS = Path(__file__).with_name("accessibility.js")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium without a window.

    Raises:
        AssertionError: with instructions if Chromium is not installed.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, (
        "the pages are looked at in Chromium, which this machine lacks; "
        "on Debian and Ubuntu: sudo apt install chromium"
    )
    with sync_playwright() as playwright:
        # Without a sandbox, which is not available in containers.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page's console messages, and its requests to other origins."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self.asked_elsewhere: list[str] = []
        self._page = page
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._see)

    def _hear(self, message) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)

    def _see(self, request) -> None:
        own = {urlsplit(self._page.url).netloc, urlsplit(self._page.url).hostname, ""}
        if self._page.url != "about:blank" and urlsplit(request.url).netloc not in own:
            self.asked_elsewhere.append(request.url)


def faults(page: Page) -> list[str]:
    """Return the accessibility problems of a page."""
    return page.evaluate(FAULTS.read_text())
