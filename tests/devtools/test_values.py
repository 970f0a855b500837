"""./dev env shows the values in force and their sources, and hides secrets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from front_door import ROOT

from devtools.checkout import Checkout
from devtools.contract import values
from devtools.declared import compose, variables
from devtools.declared.compose import ComposeFile
from devtools.errors import DevError
from devtools.interpreter import Local
from devtools.process import Result

PYTHON = Local(Path(sys.executable))
WEB = {
    "DJANGO_SETTINGS_MODULE": "core.settings.local",
    "DATABASE_URL": "postgres://app:${APP_PASSWORD:-app}@db:5432/business",
    "LOG_FORMAT": "${LOG_FORMAT:-json}",
    "REDIS_URL": "redis://redis:6379/0",
}
LINES = {f"services/web/environment/{name}": number for number, name in enumerate(WEB, 10)}
FILE = ComposeFile("docker-compose.yml", "", {"services": {"web": {"environment": WEB}}}, LINES)


class FakeEngine:
    """A fake engine that returns given values and runs nothing."""

    def __init__(self, start=None, now=None, name="compose", filled=()):
        self.name = name
        self.start = start
        self.now = now
        self.filled = dict(filled)

    def environment_at_start(self, service):
        return self.start

    def filled_in(self):
        return self.filled

    def ask(self, service, command):
        if isinstance(self.now, DevError):
            raise self.now
        return None if self.now is None else Result(0, json.dumps(self.now), "")


@pytest.fixture(scope="module")
def contract():
    checkout = Checkout(ROOT, {"PATH": ""})
    return variables.load(checkout, PYTHON, compose.load(checkout, PYTHON))


@pytest.fixture
def look(contract, tmp_path):
    """Return a function that returns the report, and its values by name."""

    def at(engine, *, dotenv="", **shell):
        (tmp_path / ".env").write_text(dotenv)
        checkout = Checkout(tmp_path, shell)
        report = values.in_force(checkout, contract, FILE, engine, "web")
        return report, {value.variable.name: value for value in report.values}

    return at


def start(**changed: str) -> dict[str, str]:
    """The variables of web at a start with defaults."""
    given = {name: compose.with_defaults(text) for name, text in WEB.items()}
    return {**given, **changed}


def given(**changed: str) -> dict[str, dict[str, str]]:
    """The variables that web's process reports."""
    return {name: {"value": text, "source": "environment"} for name, text in changed.items()}


def test_an_unset_variable_has_the_default(look):
    _report, found = look(FakeEngine(start()))
    assert (found["LOG_LEVEL"].text, found["LOG_LEVEL"].source) == ("INFO", "default")
    assert (found["LOG_FORMAT"].text, found["LOG_FORMAT"].source) == ("json", "default")


def test_what_the_compose_file_sets_is_named_with_its_line(look):
    _report, found = look(FakeEngine(start()))
    assert found["REDIS_URL"].source == "docker-compose.yml:13"


def test_what_dotenv_sets_is_named(look):
    _report, found = look(FakeEngine(start(LOG_LEVEL="DEBUG")), dotenv="LOG_LEVEL=DEBUG\n")
    assert (found["LOG_LEVEL"].text, found["LOG_LEVEL"].source) == ("DEBUG", ".env")


def test_what_the_shell_sets_for_the_compose_file_is_named(look):
    engine = FakeEngine(start(LOG_FORMAT="console"))
    _report, found = look(engine, LOG_FORMAT="console")
    assert (found["LOG_FORMAT"].text, found["LOG_FORMAT"].source) == ("console", "the environment")


def test_a_chosen_part_of_a_value_is_named(look):
    engine = FakeEngine(start(DATABASE_URL="postgres://app:hunter2@db:5432/business"))
    _report, found = look(engine, dotenv="APP_PASSWORD=hunter2\n")
    assert found["DATABASE_URL"].source == "docker-compose.yml:11 with APP_PASSWORD from .env"


def test_ineffective_values_are_reported(look):
    dotenv = "REDIS_URL=redis://mine:6379/0\n"
    _report, found = look(FakeEngine(start()), dotenv=dotenv, LOG_LEVEL="DEBUG")
    assert "put it into .env" in found["LOG_LEVEL"].note
    assert found["LOG_LEVEL"].text == "INFO"
    assert "overrides" in found["REDIS_URL"].note
    assert found["REDIS_URL"].text == "redis://redis:6379/0"


def test_running_values_count_and_changes_of_the_next_start_are_reported(look):
    now = given(**start(), SERVER="runserver")
    report, found = look(FakeEngine(start(SERVER="gunicorn"), now))
    assert report.running
    assert found["SERVER"].text == "runserver"
    assert found["SERVER"].note == "./dev up would set gunicorn"


def test_a_value_from_ssm_names_its_parameter(look):
    now = {
        **given(**start(), SSM_PARAMETER_PATH="/business/local"),
        "EMAIL_FROM": {"value": "a@example.com", "source": "ssm"},
    }
    _report, found = look(FakeEngine(start(), now))
    assert found["EMAIL_FROM"].source == "SSM /business/local/EMAIL_FROM"


def test_a_stopped_service_is_reported_and_its_parameters_are_unknown(look):
    report, _found = look(FakeEngine(start(SSM_PARAMETER_PATH="/business/local")))
    assert report.running is False
    assert any("web is not running" in sentence for sentence in report.unknown)
    assert any("the parameters under /business/local" in sentence for sentence in report.unknown)


def test_an_engine_without_control_of_the_next_start_reports_that(look):
    report, found = look(FakeEngine(None, given(**start())))
    assert found["REDIS_URL"].text == "redis://redis:6379/0"
    assert "decided outside this container" in report.unknown[0]


def test_a_failed_query_is_reported(look):
    report, found = look(FakeEngine(None, DevError("no answer")))
    assert report.running is None
    assert "no answer" in report.unknown[0]
    assert found["LOG_LEVEL"].source == values.NOT_KNOWN


def test_values_set_by_dev_are_named(look):
    _report, found = look(FakeEngine(start(), filled={"WEB_PORT": "8001"}))
    assert (found["WEB_PORT"].text, found["WEB_PORT"].source) == ("8001", "./dev")


def test_variables_of_other_deployments_have_no_value(look):
    _report, found = look(FakeEngine(start(), name="embedded"))
    assert found["APP_UID"].text is None
    assert found["APP_UID"].source == "does not exist in local-embedded"


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("SECRET_KEY", "hunter2", "********"),
        ("SECRET_KEY", "https://hooks.example.com/hunter2", "********"),
        ("DATABASE_URL", "postgres://app:hunter2@db:5432/x", "postgres://app:********@db:5432/x"),
        ("DATABASE_URL", "postgres://db/x?password=hunter2", "********"),
        ("DATABASE_URL", "postgres://app@db:5432/x", "postgres://app@db:5432/x"),
        ("DATABASE_URL", "postgres://app:hun@ter2@db:5432/x", "********"),
        ("REDIS_URL", "redis://:hunter2@redis:6379/0", "redis://:********@redis:6379/0"),
        ("REDIS_URL", "redis://redis:6379/0", "redis://redis:6379/0"),
        ("EMAIL_URL", "consolemail://", "consolemail://"),
        ("LOG_LEVEL", "DEBUG", "DEBUG"),
        ("SECRET_KEY", "", ""),
    ],
)
def test_only_the_address_of_a_secret_is_shown(contract, name, text, shown):
    assert values.mask(contract[name], text) == shown


def test_no_form_of_the_report_has_a_secret(look):
    engine = FakeEngine(start(), given(**start(SECRET_KEY="hunter2")))
    report, found = look(engine, dotenv="APP_PASSWORD=hunter2\n")
    printed = [json.dumps(report.as_json()), *values.explained(report)]
    assert "hunter2" not in "".join(printed)
    assert found["SECRET_KEY"].text == values.HIDDEN
