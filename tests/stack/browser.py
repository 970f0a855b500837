"""Chromium on this machine, and checks of a page."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, Page, sync_playwright
from running_stack import eventually

FAULTS = Path(__file__).with_name("accessibility.js")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Chromium ends all its requests when an address is added to this machine, as each new network of
# Docker does, those of other projects too.
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
# Then it shows an error page and loads the address again by itself, maybe during the next step.
INTERRUPTED = "is interrupted by another navigation"
ICON = "/favicon.ico"
TRIES = 5  # at most, of one step


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
        self._network_changed = False
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._see)
        page.on("requestfailed", self._lose)

    def visit(self, address: str) -> None:
        """Load this address with all that it needs. Raises Error if that cannot be done."""
        self.again_if_cut(lambda: self._page.goto(address))

    def wait_for(self, selector: str) -> None:
        """Wait until an element is shown; no longer once a request was cut.

        Raises:
            AssertionError: if it is not shown.
        """
        eventually(lambda: self._network_changed or self._page.is_visible(selector))

    def again_if_cut(self, step: Callable[[], object]) -> None:
        """Take a step that can be repeated; again if the machine's network changed during it.

        Raises:
            Error: what the step raises; or NETWORK_CHANGED, each time.
        """
        for _ in range(TRIES):
            self._network_changed = False
            said = len(self.said)
            try:
                step()
            except Error as error:
                cut = any(reason in str(error) for reason in (NETWORK_CHANGED, INTERRUPTED))
                if not cut and not self._network_changed:
                    raise
            else:
                if not self._network_changed:
                    return
            # For what the cut page still says; and a stack that starts changes it several times.
            self._page.wait_for_timeout(1000)
            del self.said[said:]
        raise Error(f"{NETWORK_CHANGED}, {TRIES} times")

    def _hear(self, message) -> None:
        # Chromium asks for an icon that no page names, once in a while.
        expected = NETWORK_CHANGED in message.text or message.location["url"].endswith(ICON)
        if message.type in ("error", "warning") and not expected:
            self.said.append(message.text)

    def _see(self, request) -> None:
        page = urlsplit(self._page.url)  # before the first address, and after an error, not of HTTP
        if page.scheme.startswith("http") and urlsplit(request.url).netloc not in {page.netloc, ""}:
            self.asked_elsewhere.append(request.url)

    def _lose(self, request) -> None:
        self._network_changed |= request.failure == NETWORK_CHANGED


def faults(page: Page) -> list[str]:
    """Return the accessibility problems of a page."""
    return page.evaluate(FAULTS.read_text())
