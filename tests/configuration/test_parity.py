"""Local and production differ only for declared reasons; other differences are found."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from compose_files import CHECKOUT

from devtools.checkout import Checkout
from devtools.contract import parity
from devtools.interpreter import Local
from devtools.process import capture

PYTHON = Local(Path(sys.executable))
LOCAL = "docker-compose.yml"
PRODUCTION = "docker-compose.prod.yml"


def change(checkout: Checkout, file: str, old: str, new: str) -> None:
    path = checkout.root / file
    text, count = re.subn(old, new, path.read_text())
    assert count, f"{file} has no {old!r} any more"
    path.write_text(text)


def undeclared(checkout: Checkout) -> dict[tuple[str, str], parity.Difference]:
    found = parity.compare(checkout, PYTHON)
    return {(one.service, one.aspect): one for one in found.differences if not one.reason}


def test_the_most_important_aspects_are_equal():
    found = parity.compare(Checkout(CHECKOUT, {"PATH": ""}), PYTHON)
    alike = {(service, aspect) for service, aspect, _value in found.alike}
    for service in ("web", "worker"):
        assert {(service, "command"), (service, "health check"), (service, "image")} <= alike
        assert (service, "variable SERVER") in alike
    assert {("db", "image"), ("redis", "image"), ("db", "health check")} <= alike


@pytest.mark.parametrize(
    ("file", "old", "new", "service", "aspect"),
    [
        (LOCAL, r"image: postgres:\d+", "image: postgres:9", "db", "image"),
        (LOCAL, r"image: redis:\d+", "image: redis:1", "redis", "image"),
        (LOCAL, r"image: redis:", "image: valkey/valkey:", "redis", "image"),
        (LOCAL, "command: bin/worker", "command: bin/web", "worker", "command"),
        (PRODUCTION, "test: bin/healthy web", "test: bin/healthy worker", "web", "health check"),
        (PRODUCTION, r"  interval: \d+s", "  interval: 7s", "web", "health check times"),
        (PRODUCTION, r"WEB_BIND: .*", "WEB_BIND: 0.0.0.0:80", "web", "variable WEB_BIND"),
        (LOCAL, r"\$\{SERVER:-gunicorn\}", "runserver", "web", "variable SERVER"),
        (PRODUCTION, "  init: true", "  init: false", "web", "init"),
        (LOCAL, "\n  redis:\n", "\n  valkey:\n    image: redis:7\n  redis:\n", "valkey", "service"),
        (LOCAL, "\n  db:\n", "\n  db:\n    mem_swappiness: 0\n", "db", "mem_swappiness"),
    ],
)  # fmt: skip
def test_a_difference_without_a_reason_is_found(copy, file, old, new, service, aspect):
    change(copy, file, old, new)
    found = undeclared(copy)
    assert (service, aspect) in found
    assert found[service, aspect].local != found[service, aspect].production


def test_a_secret_that_differs_is_found_and_not_shown(copy):
    own = "DATABASE_URL: postgres://app:hunter2@db/x"
    change(copy, PRODUCTION, "DATABASE_URL: postgres://app@.*", own)
    found = undeclared(copy)["web", "variable DATABASE_URL"]
    assert (found.local, found.production) == ("a secret", "a secret")


def test_a_default_that_production_changes_is_declared_by_the_contract(copy):
    begin = "PRODUCTION_DEFAULTS = {"
    more = f'{begin}"LOG_LEVEL": "ERROR",'
    change(copy, "backend/core/env/contract.py", begin, more)
    found = parity.compare(copy, PYTHON)
    (one,) = {d.reason for d in found.differences if d.aspect == "variable LOG_LEVEL"}
    assert "disables local conveniences" in one


def test_a_service_declares_its_own_reasons(copy):
    mail = "  mail:\n    image: mail:1\n    x-differs:\n      {aspect}: for developers only\n"
    change(copy, LOCAL, "\n  redis:\n", "\n" + mail.format(aspect="service") + "\n  redis:\n")
    found = parity.compare(copy, PYTHON)
    assert not found.problems
    assert "for developers only" in {one.reason for one in found.differences}

    change(copy, LOCAL, "      service: for", "      image: for")
    (missing, stale) = parity.compare(copy, PYTHON).problems
    assert "mail: service is - in production" in missing.what
    assert "mail image no longer differs" in stale.what
    assert stale.what.startswith(f"{LOCAL}:")


def test_the_command_fails_with_the_difference_its_place_and_its_remedy(copy):
    change(copy, LOCAL, r"image: redis:\d+", "image: redis:1")
    command = [str(copy.root / "dev"), "parity"]
    found = capture(command, directory=copy.root, environment=copy.variables)
    assert found.status == 1
    assert "NO DECLARED REASON" in found.output
    assert re.search(r"redis: image is redis \d+ in production and redis 1 here", found.errors)
    assert "docker-compose.prod.yml:" in found.errors
    assert "x-differs: {image: REASON}" in found.errors


def test_the_json_has_every_difference_with_its_reason(copy):
    command = [str(copy.root / "dev"), "parity", "--json"]
    found = capture(command, directory=copy.root, environment=copy.variables)
    assert found.ok, found.errors
    printed = json.loads(found.output)
    keys = {"service", "aspect", "local", "production", "reason"}
    assert {frozenset(one) for one in printed["differences"]} == {frozenset(keys)}
    assert all(one["reason"] for one in printed["differences"])
    assert printed["stale"] == []
