"""The environment contract refuses what is wrong, all at once, and documents itself."""

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import kombu.utils.url
import pytest
import redis

from core.env import CONTRACT, MODES, SETTINGS, EnvironmentProblems, read
from core.env.contract import EVERYWHERE
from core.env.validation import remedy

BACKEND = Path(__file__).parents[2]
BACKEND_VARIABLES = [variable for variable in CONTRACT if variable.reader == "backend"]

PRODUCTION = {
    # What a product requires besides.
    **{
        variable.name: variable.example.replace("{random}", "nothing-but-a-test-0123456789")
        for variable in BACKEND_VARIABLES
        if "production" in variable.required_in
    },
    "DJANGO_SETTINGS_MODULE": "core.settings.production",
    "SECRET_KEY": "nothing-but-a-test-0123456789-of-fifty-characters-x",
    "ALLOWED_HOSTS": "app.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://app.example.com",
    "DATABASE_URL": "postgres://app:long-enough-to-be-safe@db.internal/business",
    "REDIS_URL": "rediss://:long-enough-to-be-safe@cache.internal:6379/0",
    "CELERY_BROKER_URL": "rediss://:long-enough-to-be-safe@cache.internal:6379/1",
    "CELERY_RESULT_BACKEND": "rediss://:long-enough-to-be-safe@cache.internal:6379/2",
    "TENANT_BASE_DOMAIN": "app.example.com",
    "EMAIL_URL": "smtp+tls://mailer:secret@smtp.example.com:587",
}


def local(**variables: str) -> dict[str, str]:
    return {"DJANGO_SETTINGS_MODULE": "core.settings.local", **variables}


def problems_of(source: dict[str, str]) -> str:
    with pytest.raises(EnvironmentProblems) as caught:
        read(source)
    return str(caught.value)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "production"])
def test_nothing_but_the_settings_module_is_needed_outside_production(mode):
    assert read({"DJANGO_SETTINGS_MODULE": SETTINGS[mode]}).mode == mode


def test_settings_that_read_an_undeclared_variable_are_told_where_to_declare_it():
    with pytest.raises(KeyError, match="NO_SUCH_LIMIT is not declared"):
        read(local())["NO_SUCH_LIMIT"]


def test_a_complete_production_environment_is_accepted():
    environment = read(PRODUCTION)

    assert environment["DATABASE_URL"]["HOST"] == "db.internal"
    assert environment["TENANT_HEADER"] is False
    assert environment["TENANT_DEFAULT"] is None
    assert environment["OPERATIONS_HOST"] == ""


HARD_PASSWORDS = [
    "p@s/s#w:rd%41?&x",
    "Zm9v/YmFy+eA==",
    "plus + space and 'both' \"quotes\"",
    "back\\slash $HOME ${HOME} {braces} [::1]",
    "пароль-密码",
    "%",
]


@pytest.mark.parametrize("password", HARD_PASSWORDS)
def test_a_url_takes_any_password_from_the_variable_of_its_role(password):
    url = "redis://default@redis:6379/1"
    environment = read(
        local(
            DATABASE_URL="postgres://app_owner@db:5432/business",
            APP_OWNER_PASSWORD=password,
            REDIS_URL=url,
            CELERY_BROKER_URL=url,
            CELERY_RESULT_BACKEND=url,
            REDIS_PASSWORD=password,
        )
    )

    assert environment["DATABASE_URL"]["PASSWORD"] == password
    assert environment["DATABASE_URL"]["HOST"] == "db"
    parsed = redis.connection.parse_url(environment["REDIS_URL"])
    assert (parsed["password"], parsed["host"], parsed["db"]) == (password, "redis", 1)
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        assert kombu.utils.url.url_to_parts(environment[name]).password == password


def test_a_password_in_the_url_wins_over_the_variable_of_its_role():
    environment = read(local(DATABASE_URL="postgres://app:own@db/business", APP_PASSWORD="other"))

    assert environment["DATABASE_URL"]["PASSWORD"] == "own"


def test_a_fault_of_a_password_names_the_variable_that_it_is_from():
    bare = {"DATABASE_URL": "postgres://app@db/business"}

    missing, weak = (problems_of(PRODUCTION | bare | add) for add in ({}, {"APP_PASSWORD": "app"}))

    assert "APP_PASSWORD is not set" in missing
    assert "APP_PASSWORD has a guessable" in weak
    assert "DATABASE_URL" not in missing + weak


def test_a_url_without_a_password_whose_role_has_no_variable_is_refused_in_production():
    text = problems_of(PRODUCTION | {"DATABASE_URL": "postgres://somebody@db/business"})

    assert "DATABASE_URL has a guessable" in text


def test_production_names_every_missing_variable_at_once():
    text = problems_of({"DJANGO_SETTINGS_MODULE": "core.settings.production"})

    for name in PRODUCTION.keys() - {"DJANGO_SETTINGS_MODULE"}:
        assert f"{name} is not set" in text
        assert f"e.g. {name}=" in text


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SECRET_KEY", "short", "shorter than 50"),
        ("SECRET_KEY", "abc" * 20, "repeats"),
        ("CSRF_TRUSTED_ORIGINS", "https://a.example,http://b.example", "without https://"),
        ("DATABASE_URL", "postgres://app:app@db/business", "guessable"),
        ("DATABASE_URL", "postgres://app_owner:app_owner@db/business", "guessable"),
        ("DATABASE_URL", "postgres://postgres:postgres@db/business", "guessable"),
        ("SECRET_KEY", "local-only-key-that-protects-nothing" * 2, "public"),
        ("SECRET_KEY", f"django-insecure-{'abcdefghijklmnop' * 4}", "a public key"),
        ("SECRET_KEY", "$(python -c 'import secrets; print(secrets.token_urlsafe(50))')", "shell"),
        ("SECRET_KEY_FALLBACKS", f"{'abcdefghij' * 6},short", "shorter than 50"),
        ("ALLOWED_HOSTS", ".com", "any name"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.com", "top-level"),
        ("CSRF_TRUSTED_ORIGINS", "https://*", "top-level"),
        ("CORS_ALLOWED_ORIGINS", "*", "or any"),
        ("CORS_ALLOWED_ORIGINS", "http://www.example.com", "without https://"),
        ("PROXY_NETWORKS", "0.0.0.0/0", "public internet"),
        ("PROXY_NETWORKS", "10.0.0.0/8,::/0", "public internet"),
        ("DATABASE_URL", f"postgres://app:{'x' * 40}@db/business", "guessable"),
        ("DATABASE_URL", "postgres://postgres:long-enough-to-be-safe@db/business", "superuser"),
        ("REDIS_URL", "rediss://cache.internal:6379/0", "guessable"),
        ("CELERY_BROKER_URL", "redis://:redis@cache:6379/1", "guessable"),
        ("CELERY_RESULT_BACKEND", f"redis://:{'ab' * 20}@cache:6379/2", "guessable"),
        ("EMAIL_URL", "consolemail://", "only writes messages to the log"),
        ("EMAIL_URL", "smtp://mailer:secret@smtp.example.com:587", "in the clear"),
        ("DEBUG", "true", "settings and code"),
        ("ALLOWED_HOSTS", "app.example.com,*", "any name"),
        ("SERVER", "runserver", "development server"),
        ("RELOAD", "true", "when a file changes"),
        ("DEBUGPY_PORT", "5678", "can reach it run code"),
        ("TENANT_HEADER", "true", "any client choose"),
        ("TENANT_DEFAULT", "test1", "unknown host"),
    ],
)
def test_production_refuses_what_is_only_safe_locally(name, value, reason):
    text = problems_of(PRODUCTION | {name: value})

    assert name in text
    assert reason in text
    if name != "DEBUG":  # no variable of the contract
        assert read(PRODUCTION | {name: proposed(text, name)}, serves=True)


def proposed(text: str, name: str) -> str:
    """Return the value that the text of a problem proposes for a variable."""
    found = re.search(rf"^      (?:e\.g\. {name}=(.*)|unset {name})$", text, re.M)
    assert found, text
    return found[1] or ""


def test_web_and_worker_do_not_serve_as_the_owner():
    as_owner = PRODUCTION | {
        "DATABASE_URL": "postgres://app_owner:long-enough-to-be-safe@db/business"
    }

    assert read(as_owner)["DATABASE_URL"]["USER"] == "app_owner"  # the release
    with pytest.raises(EnvironmentProblems, match="only for the release"):
        read(as_owner, serves=True)


@pytest.mark.parametrize(
    "command", [["-m", "gunicorn", "core.wsgi"], ["-m", "celery", "-A", "core", "worker"]]
)
def test_what_serves_ends_at_once_with_the_owners_rights(command):
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=BACKEND,
        env={
            "PATH": os.environ["PATH"],
            **PRODUCTION,
            "DATABASE_URL": "postgres://app_owner:long-enough-to-be-safe@db/business",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode != 0
    assert "only for the release" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("variable", CONTRACT, ids=lambda variable: variable.name)
def test_what_is_shown_as_an_example_is_accepted(variable):
    readers = ("backend", "compose", "dev")
    if variable.example:
        shown = remedy(variable, "local").partition("=")[2]
        read(local(**{variable.name: shown}), names={variable.name}, readers=readers)
    shown = remedy(variable, "production").partition("=")[2]
    if "production" in (variable.deployments or EVERYWHERE) and variable.name not in (
        "DJANGO_SETTINGS_MODULE",  # its example is the local one
        "AWS_ACCESS_KEY_ID",  # the emulators', which the cloud has no use for
        "AWS_SECRET_ACCESS_KEY",
    ):
        read(PRODUCTION | {variable.name: shown}, names={variable.name}, readers=readers)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DATABASE_URL", "mysql://app@db/x", "does not start with postgres://"),
        ("DATABASE_URL", "postgres://db.internal", "names no user and no name"),
        ("DATABASE_URL", "postgres://app:ps/s#w@db/x", "has / ? or # in its password"),
        ("DATABASE_URL", "postgres://app:p?ss@db/x", "has / ? or # in its password"),
        ("REDIS_URL", "localhost:6379", "is not a Redis URL"),
        ("EMAIL_URL", "http://mail.example.com", "is not an e-mail URL"),
        ("TENANT_HEADER", "ture", "is neither true nor false ('ture')"),
        ("WEB_CONCURRENCY", "many", "is not a whole number ('many')"),
        ("WEB_CONCURRENCY", "0", "is not between 1 and 64"),
        ("WEB_BIND", "8000", "is not HOST:PORT"),
        ("WEB_BIND", "0.0.0.0:70000", "is not HOST:PORT"),
        ("SERVER", "uwsgi", "is not one of gunicorn, asgi, runserver"),
        ("DEBUGPY_PORT", "70000", "is not between 1 and 65535"),
        ("LOG_FORMAT", "xml", "is not one of json, console"),
        ("TENANT_DEFAULT", "Test1", "is not a tenant's schema name"),
        ("PROXY_NETWORKS", "10.0.0.0/8,proxy", "names no network"),
    ],
)
def test_a_bad_value_is_named_with_its_fault_and_an_example(name, value, reason):
    text = problems_of(local(**{name: value}))

    assert f"{name} {reason}" in text
    assert f"e.g. {name}=" in text


def test_all_bad_values_are_reported_together():
    text = problems_of(local(SERVER="uwsgi", LOG_LEVEL="LOUD", WEB_THREADS="x"))

    assert text.startswith("3 problems")
    assert all(name in text for name in ("SERVER", "LOG_LEVEL", "WEB_THREADS"))


def test_a_secret_value_is_never_printed():
    assert "hunter2" not in problems_of(local(DATABASE_URL="mysql://app:hunter2@db/business"))


def test_a_mail_server_is_named_by_one_url():
    server = read(local(EMAIL_URL="smtp+tls://me:pass%40word@mail.example.com:587"))["EMAIL_URL"]

    assert server["EMAIL_HOST"] == "mail.example.com"
    assert server["EMAIL_PORT"] == 587
    assert server["EMAIL_HOST_PASSWORD"] == "pass@word"
    assert server["EMAIL_USE_TLS"] is True
    assert "console" in read(local())["EMAIL_URL"]["EMAIL_BACKEND"]
    assert "smtp" in read(PRODUCTION)["EMAIL_URL"]["EMAIL_BACKEND"]


def test_an_empty_value_counts_as_unset():
    assert read(local(LOG_LEVEL=""))["LOG_LEVEL"] == "INFO"


def test_a_secret_may_be_in_a_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text(PRODUCTION["SECRET_KEY"] + "\n")
    environment = read(PRODUCTION | {"SECRET_KEY": "", "SECRET_KEY_FILE": str(file)})
    assert environment["SECRET_KEY"] == PRODUCTION["SECRET_KEY"]


def test_a_file_that_cannot_be_read_is_named_beside_the_other_problems():
    text = problems_of(local(SECRET_KEY_FILE="/nowhere/key", LOG_LEVEL="LOUD"))
    assert text.startswith("2 problems")
    assert "SECRET_KEY cannot be read from its file" in text
    assert "/nowhere/key" in text


def test_everything_refused_is_refused_at_once():
    bad = {"SECRET_KEY": "short", "ALLOWED_HOSTS": "*", "DEBUG": "1", "REDIS_PASSWORD": "redis"}
    bad |= {"APP_PASSWORD": "app", "POSTGRES_PASSWORD": "p@ss"}
    with pytest.raises(EnvironmentProblems) as caught:
        read(PRODUCTION | bad, readers=("backend", "compose"))
    assert all(name in str(caught.value) for name in [*bad, "APP_OWNER_PASSWORD is not set"])


@pytest.mark.parametrize("module", ["", "core.settings", "settings.local"])
def test_a_missing_or_unknown_settings_module_lists_the_choices(module):
    text = problems_of({"DJANGO_SETTINGS_MODULE": module})

    for choice in SETTINGS.values():
        assert choice in text


def test_a_command_under_a_bad_environment_ends_with_the_message_and_no_traceback():
    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BACKEND,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "core.settings.production"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "SECRET_KEY is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("script", ["web", "worker", "release"])
def test_no_process_starts_under_a_bad_environment(script):
    ended = subprocess.run(
        [BACKEND / "bin" / script],
        env={**os.environ, "LOG_LEVEL": "LOUD"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode != 0
    assert "LOG_LEVEL is not one of" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_variables_of_a_group_stand_together():
    groups = [group for group, _variables in groupby(variable.group for variable in CONTRACT)]

    assert len(groups) == len(set(groups))


@pytest.mark.parametrize("variable", BACKEND_VARIABLES, ids=lambda variable: variable.name)
def test_every_default_is_itself_valid(variable):
    if variable.default is not None:
        variable.parse(variable.default)


def test_a_production_stack_may_be_tried_at_localhost():
    """Its names lead to the machine itself; the tests of the stack are there."""
    tried = {"ALLOWED_HOSTS": ".localhost", "CSRF_TRUSTED_ORIGINS": "https://*.localhost:8443"}
    assert read({**PRODUCTION, **tried})["ALLOWED_HOSTS"] == [".localhost"]
