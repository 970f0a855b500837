"""What is decided about a request before any view sees it."""

from ipaddress import ip_network

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from core import health
from core.middleware import ForwardedHeadersMiddleware

SAID = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9", "x-request-id": "1"}


@pytest.fixture
def believed(settings):
    """Return a function that names the headers left of a request from an address."""

    def ask(sender: str, proxies: int = 1) -> set[str]:
        settings.PROXY_COUNT = proxies
        settings.PROXY_NETWORKS = [ip_network("10.0.1.0/24"), ip_network("fd00::/8")]
        request = RequestFactory().get("/", headers=SAID, REMOTE_ADDR=sender)
        ForwardedHeadersMiddleware(lambda request: HttpResponse())(request)
        return {name.lower() for name in request.headers} & SAID.keys()

    return ask


@pytest.mark.parametrize("sender", ["10.0.1.7", "fd00::7"])
def test_the_proxy_is_believed(believed, sender):
    assert believed(sender) == SAID.keys()


@pytest.mark.parametrize("sender", ["10.0.2.7", "203.0.113.9", "::1", "", "not-an-address"])
def test_nobody_else_is(believed, sender):
    assert believed(sender) == {"x-request-id"}


def test_without_a_proxy_nobody_is(believed):
    assert believed("10.0.1.7", proxies=0) == {"x-request-id"}


@pytest.mark.parametrize("host", ["10.0.3.9:8000", "evil.example"])
def test_a_probe_may_name_web_as_it_likes_but_nobody_else_may(browser, host):
    assert browser.get("/api/v1/health/live/", headers={"host": host}).status_code == 200
    assert browser.get("/", headers={"host": host}).status_code == 400


def test_a_draining_web_tells_its_probes_and_still_answers(browser, monkeypatch, tmp_path):
    monkeypatch.setattr(health, "DRAIN_FILE", tmp_path / "draining")
    assert browser.get("/api/v1/health/live/").status_code == 200
    (tmp_path / "draining").touch()
    answer = browser.get("/api/v1/health/live/")
    assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
