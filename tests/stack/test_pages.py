"""The workbench in a browser: it works, refreshes itself, and is accessible.

Screenshots of each state are written to .dev/pictures of the checkout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Watched, chromium, faults
from playwright.sync_api import Browser, Page, expect
from running_stack import eventually

PICTURES = Path(__file__).parents[2] / ".dev" / "pictures"
SECTIONS = (
    "Services", "Server", "Debuggers", "Tenants", "Requests", "Background tasks", "E-mails",
    "To type",
)  # fmt: skip

SEND = """
from core.celery import echo
from django.core.mail import EmailMultiAlternatives
echo.delay("hello")
message = EmailMultiAlternatives("A letter to look at", "Plain words", to=["ann@example.com"])
message.attach_alternative("<h1>Rich words</h1>", "text/html")
message.send()
"""


OUT_OF_THEIR_CARDS = """[...document.querySelectorAll(".card > table")]
    .filter(one => one.offsetWidth > one.parentElement.clientWidth)
    .map(one => one.parentElement.id)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def used(stack):
    """The stack after some requests, a task and an e-mail."""
    stack.ensure_up()
    for path in ("/api/v1/auth/profile/", "/api/nosuch/", "/admin/login/", "/api/v1/schema/"):
        stack.get(path)
    stack.compose(
        *("exec", "-T", "web", "python", "manage.py", "shell", "--verbosity=0"),
        *("--tenant", "test1", "--command", SEND),
    )
    eventually(lambda: "core.echo" in stack.get("/workbench/live/").text)
    return stack


@pytest.fixture
def lively(used, running):
    """That stack, healthy before each test."""
    return running


@pytest.fixture
def visit(lively, browser) -> Callable[..., Page]:
    """Return a context manager for a page of web, in a browser with these options."""

    @contextmanager
    def open_page(path: str = "/", width: int = 1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        page = context.new_page()
        page.watched = Watched(page)
        address = lively.url(path).replace("127.0.0.1", "localhost")
        try:
            page.watched.visit(address)
            yield page
        finally:
            context.close()

    return open_page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_tasks_is_for_everybody(visit, scheme, width):
    with visit("/workbench/tasks/", width, color_scheme=scheme) as page:
        expect(page.get_by_role("heading", name="Schedules")).to_be_visible()
        expect(page.get_by_text("users.remove_expired_log_ins")).to_be_visible()
        assert faults(page) == []
        assert page.watched.said == []
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"tasks-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 900, 390])
def test_the_workbench_is_whole_and_for_everybody(visit, scheme, width):
    with visit(width=width, color_scheme=scheme, reduced_motion="reduce") as page:
        for name in SECTIONS:
            expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        expect(page.get_by_text("Everything answers")).to_be_visible()
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUT_OF_THEIR_CARDS) == []
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"workbench-{width}-{scheme}.png", full_page=True)
        assert page.watched.said == []
        assert page.watched.asked_elsewhere == []


def test_faults_would_be_found(browser):
    page = browser.new_page()
    page.set_content(
        "<main><h1>One</h1><h3>Three</h3><img src='data:,'><p style='color: #999'>Faint</p>"
        "<button></button><input><table><tr><td>1</table><p id=a>.<p id=a>.</main>"
    )
    found = "; ".join(faults(page))
    page.close()
    for fault in (
        "heading skips", "no language", "no alt", "contrast 2.85", "no name: <button>", "no label",
        "without headers", "id twice: a",
    ):  # fmt: skip
        assert fault in found


def test_light_and_dark_differ(visit):
    grounds = set()
    for scheme in ("light", "dark"):
        with visit(color_scheme=scheme) as page:
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_it_keeps_itself_up_to_date_and_stops_when_told(visit, lively):
    with visit() as page:
        lively.get("/api/v1/auth/profile/?page=2", X_Tenant="test2")
        lively.get("/api/not-seen-before/")
        expect(page.locator("#requests")).to_contain_text("/api/not-seen-before/")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#pulse")).to_have_text("Paused.")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.install()
        page.clock.run_for(10_000)
        assert asked == []


def test_it_works_without_javascript(visit):
    with visit(java_script_enabled=False) as page:
        for name in SECTIONS:
            expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        expect(page.locator("#requests")).to_contain_text("/api/v1/auth/profile/")
        expect(page.get_by_text("./dev serve runserver")).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)  # they need JavaScript
        page.get_by_role("link", name="A letter to look at").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("A letter to look at")


def test_it_can_be_used_by_keyboard_alone(visit):
    with visit() as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to what runs")).to_be_focused()
        page.keyboard.press("Tab")
        focused = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(focused) == "solid"


def test_an_e_mail_is_shown_without_active_content(visit):
    with visit() as page:
        page.get_by_role("link", name="A letter to look at").first.click()
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("heading", name="Rich words")).to_be_visible()
        expect(page.get_by_text("Plain words").first).to_be_visible()
        assert page.locator("iframe").get_attribute("sandbox") == ""
        assert faults(page) == []


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_request_is_followed_to_its_queries_by_keyboard(visit, scheme, javascript):
    options = {"color_scheme": scheme, "java_script_enabled": javascript}
    with visit("/workbench/traces/?text=/admin/login/", **options) as page:
        if javascript:
            assert faults(page) == []
        page.get_by_role("link", name="GET /admin/login/").first.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("/admin/login/")
        if javascript:
            assert faults(page) == []
        span = page.locator("#rows summary").first
        span.press("Enter")
        opened = page.locator("#rows details[open]").first
        expect(opened).to_contain_text("homeport-web")
        page.screenshot(path=PICTURES / f"trace-{scheme}.png", full_page=True)
        assert page.watched.said == []


@pytest.mark.parametrize("path", ["/choose-tenant/", "/admin/login/"])
def test_the_other_pages_say_nothing_to_the_console_either(visit, path):
    with visit(path) as page:
        assert page.watched.said == []
        assert page.watched.asked_elsewhere == []


def test_every_panel_of_the_debug_toolbar_opens_under_both_servers(visit, lively):
    try:
        _open_all_panels(visit)  # under Gunicorn, where any process may answer
        lively.dev("serve", "runserver")
        _open_all_panels(visit)
    finally:
        lively.dev("serve", "gunicorn")


def _open_all_panels(visit) -> None:
    with visit("/choose-tenant/") as page:
        page.locator("#djShowToolBarButton").click()
        links = page.locator("#djDebugPanelList a[class]")
        names = links.evaluate_all("links => links.map(link => link.className)")
        assert "SQLPanel" in names
        for name in names:
            page.locator(f"#djDebugPanelList a.{name}").click()
            content = page.locator(f"#{name} .djDebugPanelContent .djdt-scroll > *")
            expect(content.first).to_be_visible()
            if name == "SQLPanel":  # as it was written, without what precedes it
                expect(page.locator("#SQLPanel .djdt-scroll")).to_contain_text("tenant_config")
                expect(page.locator("#SQLPanel .djdt-scroll")).not_to_contain_text("set_config")
            page.locator(f"#{name} .djDebugClose").click()


def test_a_dead_database_is_shown_as_down_while_the_page_stays(visit, lively):
    with visit() as page:
        lively.compose("pause", "db")
        try:
            verdict = page.locator("#verdict")
            expect(verdict).to_contain_text("Down: database", timeout=30_000)
            fresh = lively.get("/", timeout=30)
        finally:
            lively.compose("unpause", "db")
        assert fresh.status == 200
        assert re.search(r"Down: database", fresh.text)
        expect(verdict).to_contain_text("Everything answers", timeout=30_000)
