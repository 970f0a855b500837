"""Tests find their stack wherever they are started, and leave other runs of them alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from development import test_runs

OWNERS = "postgres://app_owner:secret@db:5432/homeport"
WEBS = "postgres://app:app@db:5432/homeport"


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """Put a `./dev` in place that does as it is told."""
    monkeypatch.setattr(test_runs, "CHECKOUT", tmp_path)
    monkeypatch.delenv(test_runs.RUN, raising=False)  # as a process without a parent run

    def install(script: str) -> None:
        (tmp_path / "dev").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "dev").chmod(0o755)

    return install


@pytest.mark.parametrize("given", ["", WEBS])
def test_an_editor_that_knows_nothing_gets_what_dev_says(dev, monkeypatch, given):
    dev(f"echo '{json.dumps({'DATABASE_URL': OWNERS})}'")
    monkeypatch.setenv("DATABASE_URL", given)

    test_runs.use_stack()
    assert os.environ["DATABASE_URL"] == OWNERS


def test_a_process_that_a_test_starts_keeps_the_variables_it_was_given(dev, monkeypatch):
    dev("exit 1")
    monkeypatch.setenv("DATABASE_URL", WEBS)
    monkeypatch.setenv(test_runs.RUN, "1")

    test_runs.use_stack()
    assert os.environ["DATABASE_URL"] == WEBS


def test_what_is_given_stays(dev, monkeypatch):
    dev("exit 1")
    monkeypatch.setenv("DATABASE_URL", OWNERS)

    test_runs.use_stack()
    assert os.environ["DATABASE_URL"] == OWNERS


def test_what_is_missing_is_told(dev, monkeypatch):
    dev("echo 'error: the stack is not up' >&2; exit 1")
    monkeypatch.delenv("DATABASE_URL")

    with pytest.raises(SystemExit, match="the stack is not up"):
        test_runs.use_stack()


def test_a_second_run_has_a_database_and_redis_of_its_own(django_db_setup):
    """The first run is this one."""
    second = _settings_of_another_process(without=test_runs.RUN)
    own = settings.DATABASES["default"]["TEST"]["NAME"], settings.CELERY_BROKER_URL
    assert not set(own) & set(second)


def test_a_process_of_this_run_shares_them(django_db_setup):
    broker = _settings_of_another_process()[1]
    assert broker == settings.CELERY_BROKER_URL


def _settings_of_another_process(without: str = "") -> list[str]:
    code = (
        "from django.conf import settings as s;"
        "print(s.DATABASES['default']['TEST']['NAME'], s.CELERY_BROKER_URL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if name != without},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://db:6379/8", "redis://db:6379/11"),
        ("redis://db:6379", "redis://db:6379/11"),
        (
            "rediss://:p%2F8@db:6379/8?ssl_cert_reqs=none",
            "rediss://:p%2F8@db:6379/11?ssl_cert_reqs=none",
        ),
    ],
)
def test_the_database_of_a_url_is_changed(url, wanted):
    assert test_runs.redis_url(url, 11) == wanted
