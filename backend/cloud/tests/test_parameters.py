"""Unset variables come from Parameter Store; all its faults are reported at once."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from botocore.config import Config
from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader

from cloud.clients import client
from cloud.parameters import fetch, wait
from cloud.tests.conftest import as_emulated, emulated, patient_client
from core.env import FILLED, EnvironmentProblems, fill, read
from core.tests.test_env import PRODUCTION

BACKEND = Path(__file__).parents[2]
PLACE = {
    name: os.environ[name]
    for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND")
    if name in os.environ
}


@pytest.fixture
def path(emulator) -> str:
    """A path that no other test uses."""
    return f"/business/{uuid.uuid4().hex}"


def put(path: str, kind: str = "String", **values: str) -> None:
    ssm = patient_client("ssm")
    for name, value in values.items():
        ssm.put_parameter(Name=f"{path}/{name}", Value=value, Type=kind)


def local(path: str, **variables: str) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "core.settings.local",
        "SSM_PARAMETER_PATH": path,
        **variables,
    }


def problems_of(source: dict[str, str]) -> str:
    with pytest.raises(EnvironmentProblems) as caught:
        fill(source)
    return str(caught.value)


# --- what is found ------------------------------------------------------------------------


def test_parameters_fill_what_is_not_set(path):
    put(path, LOG_LEVEL="WARNING", EMAIL_FROM="ssm@example.com")
    source = local(path)

    fill(source)

    environment = read(source)
    assert environment["LOG_LEVEL"] == "WARNING"
    assert environment["EMAIL_FROM"] == "ssm@example.com"


def test_what_is_set_wins_and_empty_is_not_set(path):
    put(path, LOG_LEVEL="WARNING", EMAIL_FROM="ssm@example.com")
    source = local(path, LOG_LEVEL="ERROR", EMAIL_FROM="")

    fill(source)

    assert source["LOG_LEVEL"] == "ERROR"
    assert source["EMAIL_FROM"] == "ssm@example.com"


def test_secrets_are_decrypted(path):
    put(path, "SecureString", SECRET_KEY="s" * 50)
    source = local(path)

    fill(source)

    assert source["SECRET_KEY"] == "s" * 50


def test_more_parameters_than_a_page_holds_are_all_found(path):
    put(path, **{f"NAME_{number}": str(number) for number in range(25)})

    assert fetch(path) == {f"NAME_{number}": str(number) for number in range(25)}


def test_what_lies_deeper_or_beside_is_not_taken(path):
    put(path, LOG_LEVEL="WARNING")
    put(f"{path}/more", EMAIL_FROM="deep@example.com")
    put(f"{path}-other", EMAIL_FROM="beside@example.com")

    assert fetch(path) == {"LOG_LEVEL": "WARNING"}


def test_production_may_have_its_secrets_from_there(path):
    secrets = {name: PRODUCTION[name] for name in ("SECRET_KEY", "DATABASE_URL")}
    put(path, "SecureString", **secrets)
    source = local(path, DJANGO_SETTINGS_MODULE="core.settings.production")

    fill(source)

    with pytest.raises(EnvironmentProblems) as caught:
        read(source)
    assert "ALLOWED_HOSTS is not set" in str(caught.value)
    assert "SECRET_KEY" not in str(caught.value)
    assert "DATABASE_URL" not in str(caught.value)


def test_a_bad_value_is_refused_like_any_other(path):
    put(path, LOG_LEVEL="LOUD")
    source = local(path)

    fill(source)

    with pytest.raises(EnvironmentProblems, match="LOG_LEVEL is not one of"):
        read(source)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("LD_PRELOAD", "is not declared"),
        ("DB_PORT", "is not declared"),
        ("ALLOWED_HOSTS", "protects this machine; set it in .env"),
        ("DATABASE_URL", "protects this machine; set it in .env"),
        ("SERVER", "is set by what starts the process"),
        ("DJANGO_SETTINGS_MODULE", "is set by what starts the process"),
        ("SSM_PARAMETER_PATH", "is set by what starts the process"),
    ],
)
def test_a_parameter_that_may_set_nothing_is_named_and_ignored(path, name, reason, capsys):
    put(path, LOG_LEVEL="WARNING", **{name: "something"})
    source = local(path)

    fill(source)

    assert source == local(path, LOG_LEVEL="WARNING", **{FILLED: f"{path} LOG_LEVEL"})
    assert f"parameter {path}/{name} is ignored: {name} {reason}" in capsys.readouterr().err


# --- LocalStack, which starts at the same time --------------------------------------------


class Hooks(BaseHTTPRequestHandler):
    """LocalStack's page of its hooks: `answers` are the statuses and bodies that are left."""

    answers: ClassVar[list[tuple[int, str]]] = []

    def do_GET(self) -> None:
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def localstack(monkeypatch):
    """A server of `Hooks` in a container, so to speak, that does not listen yet."""
    monkeypatch.setattr("cloud.parameters.THIS_MACHINE", ())
    monkeypatch.setattr(Hooks, "answers", [])
    with HTTPServer(("127.0.0.1", 0), Hooks, bind_and_activate=False) as server:
        server.server_bind()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("AWS_ENDPOINT_URL_SSM", raising=False)
        yield server


@contextlib.contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    server.server_activate()
    with ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever, 0.01)
        try:
            yield
        finally:
            server.shutdown()


def test_it_waits_until_the_hooks_have_run(localstack, capsys):
    Hooks.answers = [(200, '{"completed": false}')] * 2 + [(200, '{"completed": true}')]
    with serving(localstack):
        wait()
    assert not Hooks.answers
    assert capsys.readouterr().err.count("has its parameters") == 1


def test_it_waits_until_localstack_listens(localstack, monkeypatch):
    Hooks.answers = [(200, '{"completed": true}')]
    with contextlib.ExitStack() as stack:
        # The first attempt was refused, and the next is made.
        monkeypatch.setattr("time.sleep", lambda _: stack.enter_context(serving(localstack)))
        wait()
    assert not Hooks.answers


def test_it_waits_for_no_other_emulator(localstack):
    Hooks.answers = [(404, "")]
    with serving(localstack):
        wait()
    assert not Hooks.answers


@pytest.mark.parametrize(
    "url", ["", "localstack", "http://localhost:1", "http://gone:1", "http://[bad"]
)
def test_it_does_not_wait_for_what_does_not_run(url, monkeypatch):
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits"))
    wait()


def test_it_does_not_wait_for_ever(localstack):
    wait(0.2)


# --- once for a process and its children --------------------------------------------------


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """Count the questions to the store, which answers one parameter."""
    paths = []

    def answer(path: str) -> dict[str, str]:
        paths.append(path)
        return {"LOG_LEVEL": "WARNING"}

    monkeypatch.setattr("cloud.parameters.fetch", answer)
    return paths


def test_a_child_does_not_ask_again(asked):
    source = local("/business/local")
    fill(source)
    child = dict(source)

    fill(child)

    assert asked == ["/business/local"]
    assert child["LOG_LEVEL"] == "WARNING"


def test_a_child_with_another_path_asks_for_its_own(asked):
    source = local("/business/local")
    fill(source)
    source["SSM_PARAMETER_PATH"] = "/business/other"

    fill(source)

    assert asked == ["/business/local", "/business/other"]
    assert source[FILLED] == "/business/other LOG_LEVEL"


def test_a_child_without_a_path_loses_what_came_from_there(asked):
    source = local("/business/local")
    fill(source)
    del source["SSM_PARAMETER_PATH"]

    fill(source)

    assert source == {"DJANGO_SETTINGS_MODULE": "core.settings.local"}


def test_without_a_path_nothing_is_asked_and_nothing_of_aws_is_loaded(asked):
    script = "import sys, core.env; core.env.environment(); print('botocore' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=BACKEND,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "core.settings.local"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "False"
    fill({"DJANGO_SETTINGS_MODULE": "core.settings.local"})
    assert asked == []


# --- what is wrong ------------------------------------------------------------------------


def test_an_empty_answer_names_path_and_region(path):
    text = problems_of(local(path))

    assert f"there is no parameter under {path} in eu-west-1" in text
    assert "./dev restart localstack" in text


def test_another_region_is_an_empty_answer(path, monkeypatch):
    put(path, LOG_LEVEL="WARNING")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    assert f"there is no parameter under {path} in us-east-1" in problems_of(local(path))


def test_no_region_is_named(path, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    text = problems_of(local(path))

    assert "specify a region" in text
    assert "AWS_DEFAULT_REGION=eu-west-1" in text


def test_no_credentials_are_named(path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    assert "AWS_ACCESS_KEY_ID=test" in problems_of(local(path))


def test_an_endpoint_that_is_no_url_is_named(path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:4566")

    text = problems_of(local(path))

    assert "Invalid endpoint" in text
    assert "AWS_ENDPOINT_URL=http" in text


def test_an_emulator_that_is_down_is_said_at_once_with_the_command_that_starts_it(refused):
    text = problems_of(local("/business/local"))

    assert refused in text
    assert "./dev up" in text


def test_an_emulator_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr("cloud.limits.QUESTION", Config(read_timeout=0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        as_emulated(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "Read timeout" in problems_of(local("/business/local"))


@pytest.mark.parametrize("path", ["business", "/business/", "/", "//a", "/a b", "/ä"])
def test_a_path_that_is_none_is_refused_before_anybody_is_asked(path, asked):
    source = local(path)

    fill(source)

    assert asked == []
    with pytest.raises(EnvironmentProblems, match="SSM_PARAMETER_PATH is not a path"):
        read(source)


# --- every process ------------------------------------------------------------------------


def run(*command: str | Path, moto: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        cwd=BACKEND,
        env={"PATH": os.environ["PATH"], **PLACE, **emulated(moto), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


SETTINGS = "from django.conf import settings; print(settings.DEFAULT_FROM_EMAIL)"
STARTS = {
    "settings": f"import django; django.setup(); {SETTINGS}",
    "wsgi": f"import core.wsgi; {SETTINGS}",
    "celery": f"import core.celery; {SETTINGS}",
    "gunicorn": f"import runpy; runpy.run_path('gunicorn.conf.py'); {SETTINGS}",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_every_kind_of_process_sees_the_parameters(path, emulator, start):
    put(path, EMAIL_FROM="ssm@example.com")

    ended = run(sys.executable, "-c", start, moto=emulator, **local(path))

    assert ended.stdout.splitlines()[-1:] == ["ssm@example.com"], ended.stderr


def test_the_command_line_prints_values_and_where_they_come_from(path, emulator):
    put(path, EMAIL_FROM="ssm@example.com")
    variables = local(path, LOG_LEVEL="DEBUG")
    program = (sys.executable, "-m", "core.env")

    got = run(*program, "get", "EMAIL_FROM", "LOG_LEVEL", moto=emulator, **variables)
    effective = json.loads(run(*program, "effective", moto=emulator, **variables).stdout)

    assert got.stdout.split() == ["ssm@example.com", "DEBUG"]
    assert effective["EMAIL_FROM"] == {"value": "ssm@example.com", "source": "ssm"}
    assert effective["LOG_LEVEL"]["source"] == "environment"
    assert effective["TENANT_DEFAULT"]["source"] == "default"


def test_start_scripts_and_health_checks_need_no_store():
    """Each start would ask twice, and a store that is down would make web unhealthy."""
    nowhere = "http://127.0.0.1:9"
    program = (sys.executable, "-m", "core.env", "get")

    got = run(*program, "SERVER", "WEB_BIND", moto=nowhere, **local("/business/local"))
    refused = run(*program, "LOG_LEVEL", moto=nowhere, **local("/business/local"))
    health = run(sys.executable, "-m", "core.liveness", "worker", moto=nowhere,
                 WORKER_HEARTBEAT_FILE="/nowhere", **local("/business/local"))  # fmt: skip

    assert got.stdout.split() == ["gunicorn", "127.0.0.1:8000"], got.stderr
    assert "cannot be read" in refused.stderr
    assert "No such file" in health.stderr


@pytest.mark.parametrize("script", ["web", "worker", "release"])
def test_no_process_starts_without_its_store_and_none_prints_a_traceback(script, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho started >>"{tmp_path}/log"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    ended = run(
        BACKEND / "bin" / script,
        moto="http://127.0.0.1:9",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        **local("/business/local"),
    )

    # It asked for the store in its one Python, in which it was to go on.
    assert (tmp_path / "log").read_text().split() == ["started"]
    assert ended.returncode != 0
    assert "http://127.0.0.1:9" in ended.stderr
    assert "./dev up" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_client_is_made_without_looking_through_all_services(emulator, monkeypatch):
    def walk(*_: object) -> None:
        raise AssertionError("it looks through the folders of all services")

    monkeypatch.setattr(Loader, "list_available_services", walk)
    assert client("ssm").can_paginate("get_parameters_by_path")
    with pytest.raises(DataNotFoundError):
        client("nowhere")
