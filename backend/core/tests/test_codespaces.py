"""Forms work through the proxy of GitHub Codespaces, which rewrites headers."""

import re

import pytest
from django.test import Client

NAME = "name-8000.app.github.dev"  # FORWARDED_HOST of the tests
LOCAL = "localhost:8000"

# What proxies were seen to send: it rewrites Origin, or Host, or both, or neither.
SEEN = {
    "host and origin local, http": {"host": LOCAL, "origin": f"http://{LOCAL}"},
    "host and origin local, https": {"host": LOCAL, "origin": f"https://{LOCAL}"},
    "own host, origin local": {"host": NAME, "origin": f"http://{LOCAL}"},
    "own host, own origin": {"host": NAME, "origin": f"https://{NAME}"},
    "host local, own origin": {"host": LOCAL, "origin": f"https://{NAME}"},
    "no proxy": {"host": LOCAL, "origin": f"http://{LOCAL}"},
}
FORWARDED = {"x-forwarded-host": NAME, "x-forwarded-proto": "https"}


@pytest.mark.parametrize("seen", SEEN)
def test_a_form_is_accepted(test1, seen):
    assert _status_of_log_in(SEEN[seen] | ({} if seen == "no proxy" else FORWARDED)) == 200


@pytest.mark.parametrize("site", ["app.github.dev.example.com", "other-8000.app.github.dev"])
def test_a_form_of_another_site_is_refused(test1, site):
    evil = {"host": NAME, "origin": f"https://{site}", **FORWARDED}
    assert _status_of_log_in(evil) == 403


@pytest.mark.parametrize("name", ["other-8000", "name-4566", "x.name-8000"])
def test_the_name_of_another_codespace_is_an_unknown_host(test1, name):
    answer = Client().get("/admin/login/", headers={"host": f"{name}.app.github.dev"})
    assert answer.status_code == 400


def _status_of_log_in(headers: dict[str, str]) -> int:
    """Post a wrong password, with the form's own token: 200 shows the form again."""
    client = Client(enforce_csrf_checks=True, headers=headers)
    page = client.get("/admin/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"csrfmiddlewaretoken": token, "username": "a@example.com", "password": "wrong"}
    return client.post("/admin/login/", form).status_code
