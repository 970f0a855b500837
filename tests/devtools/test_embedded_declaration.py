"""The embedded engine reads docker-compose.yml with the same results as Compose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from front_door import ROOT

from devtools.checkout import Checkout
from devtools.declared import local_stack
from devtools.embedded.places import Places
from devtools.embedded.stack import Stack
from devtools.engines.embedded import STAND_INS, runnable
from devtools.errors import DevError

CHOSEN = {
    "APP_PASSWORD": "a b'c",
    "CODESPACE_NAME": "mine",
    "COMPOSE_PROJECT_NAME": "mine",
    "DB_PORT": "15432",
    "LOCALSTACK_PORT": "14566",
    "LOG_FORMAT": "console",
    "SERVER": "",
    "WEB_PORT": "18000",
}
GIVEN = {"db": 15432, "redis": 16379, "web": 18000, "localstack": 14566}


@pytest.fixture
def stack(tmp_path) -> Stack:
    shutil.copy(ROOT / local_stack.FILE, tmp_path)
    checkout = Checkout(tmp_path, {"PATH": os.environ["PATH"], **CHOSEN})
    declared = local_stack.load(checkout, Path(sys.executable))
    return Stack(checkout, Places(checkout), declared, Path(sys.executable), GIVEN)


@pytest.fixture(scope="module")
def composed() -> dict:
    if shutil.which("docker") is None:
        pytest.skip("no docker command to read Compose files with")
    read = subprocess.run(
        [
            *("docker", "compose", "--env-file", "/dev/null", "--profile", "*"),
            *("config", "--format", "json"),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **CHOSEN},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(read.stdout)["services"]


def _services(stack: Stack) -> dict[str, local_stack.Service]:
    declared = stack.declaration
    return {**declared.services, **declared.extra, **declared.hosted}


def test_the_services_and_their_dependencies_are_the_same(stack, composed):
    assert _services(stack).keys() == composed.keys() - {"image"}
    for name, service in _services(stack).items():
        theirs = composed[name].get("depends_on", {})
        needed = {local_stack.HOSTED.get(other, other) for other in theirs}
        assert set(service.needs) == needed - {name, "image"}  # without hosted services


def test_commands_and_variables_are_the_same(stack, composed):
    for name, service in _services(stack).items():
        theirs = composed[name]
        whole = [*(theirs.get("entrypoint") or []), *(theirs.get("command") or [])]
        assert service.command == whole, name
        filled = {key: stack.filled(value) for key, value in service.environment.items()}
        # `docker compose config` prints a dollar as two.
        expected = {k: v.replace("$$", "$") for k, v in theirs.get("environment", {}).items()}
        assert filled == expected, name


def test_ports_are_the_same(stack, composed):
    for port in stack.declaration.addresses:
        (entry,) = composed[port.host]["ports"]
        assert port.target == entry["target"]
        assert str(CHOSEN.get(port.variable) or port.default) == entry["published"]


def test_a_service_that_needs_docker_is_left_out_unless_another_needs_it(stack):
    images = {"mailpit": {"image": "axllent/mailpit:v1"}, "search": {"image": "opensearch:3"}}
    web = {
        "build": {"dockerfile": "backend/Dockerfile"},
        "depends_on": {"search": {"condition": "service_healthy"}},
    }
    assert [*runnable(local_stack.parse({**images, "web": web})).services] == ["search", "web"]
    assert runnable(stack.declaration).services.keys() >= {*STAND_INS, "web", "worker"}
    for name, host in local_stack.HOSTED.items():
        assert name in stack.declaration.hosted
        assert host in STAND_INS


def test_hosts_and_paths_of_containers_become_those_of_this_machine(stack):
    web = stack.settings(stack.declaration.services["web"])
    assert web["REDIS_URL"] == "redis://127.0.0.1:16379/0"
    assert web["DATABASE_URL"].endswith("@127.0.0.1:15432/homeport")
    assert web["WEB_BIND"] == "127.0.0.1:18000"
    assert web["FORWARDED_HOST"] == "mine-18000.app.github.dev"
    assert web["STATIC_ROOT"] == str(stack.places.data / "static")
    for service in _services(stack).values():
        for name, value in stack.settings(service).items():
            hosts = r"@db:|//(redis|localstack|cognito):|0\.0\.0\.0|^/data/"
            assert not re.search(hosts, value), name


def test_all_of_aws_is_one_process_here(tmp_path, stack):
    stack.checkout = Checkout(tmp_path, {})
    web = stack.settings(stack.declaration.services["web"])
    here = "http://127.0.0.1:14566"
    assert web["AWS_ENDPOINT_URL"] == web["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"] == here
    # For browsers, on the automatically chosen port.
    assert web["AWS_S3_PUBLIC_ENDPOINT_URL"] == "http://localhost:14566"
    assert "cognito" not in stack.declaration.long_running
    script = STAND_INS["localstack"](stack).script
    assert "export MOTO_COGNITO_IDP_USER_POOL_ID_STRATEGY=HASH" in script
    assert "--host 127.0.0.1 --port 14566" in script


def test_files_stay_on_disk_when_no_bucket_is_named(tmp_path, stack):
    (tmp_path / ".env").write_text("AWS_STORAGE_BUCKET_NAME=\n")
    stack.checkout = Checkout(tmp_path, {})
    assert stack.settings(stack.declaration.services["web"])["AWS_STORAGE_BUCKET_NAME"] == ""


def test_two_checkouts_share_no_file(stack, tmp_path):
    settings = stack.settings(stack.declaration.services["worker"])
    for name in ("WORKER_HEARTBEAT_FILE", "STATIC_ROOT", "MEDIA_ROOT"):
        assert Path(settings[name]).is_relative_to(tmp_path), name


def test_a_process_sees_no_stray_variable_of_the_shell(tmp_path, stack):
    stack.checkout = Checkout(tmp_path, {"SECRET_KEY": "stray", "TERM": "xterm"})
    environment = stack.environment(stack.declaration.services["web"])
    assert "SECRET_KEY" not in environment
    assert environment["TERM"] == "xterm"


def test_dotenv_is_seen_by_the_services_that_declare_it(tmp_path, stack):
    (tmp_path / ".env").write_text("WEB_THREADS=7\nWEB_CONCURRENCY=2\n")
    stack.checkout = Checkout(tmp_path, {})
    web = stack.settings(stack.declaration.services["web"])
    assert (web["WEB_THREADS"], web["WEB_CONCURRENCY"]) == ("7", "2")
    assert "WEB_THREADS" not in stack.settings(stack.declaration.extra["test"])


def test_dotenv_is_interpolated_from_the_stack_and_the_shell(tmp_path, stack):
    (tmp_path / ".env").write_text("A=$WEB_PORT-$LATER-$HERE\nLATER=1\n")
    stack.checkout = Checkout(tmp_path, {"HERE": "2"})
    web = stack.settings(stack.declaration.services["web"])
    assert web["A"] == "18000-1-2"


def test_a_name_that_no_shell_can_export_reaches_the_process(tmp_path, stack):
    (tmp_path / ".env").write_text("A.B='c d'\n")
    stack.checkout = Checkout(tmp_path, {"PATH": os.environ["PATH"]})
    script = tmp_path / "script"
    script.write_text(stack.script(stack.declaration.services["web"], tmp_path, "env"))
    done = subprocess.run(["sh", script], capture_output=True, text=True, check=True)
    assert "A.B=c d" in done.stdout.splitlines()


def test_as_many_gunicorn_workers_as_in_the_container(stack):
    assert stack.settings(stack.declaration.services["web"])["WEB_CONCURRENCY"] == "3"


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("0s", 0), ("", 0)]
)
def test_durations(text, expected):
    assert local_stack.seconds(text) == expected


def test_it_is_read_once_for_each_content(tmp_path, stack):
    unable = Path("/bin/false")
    again = local_stack.load(stack.checkout, unable)
    assert again.services.keys() == stack.declaration.services.keys()
    (tmp_path / local_stack.FILE).write_text("services: [")
    with pytest.raises(DevError, match=r"docker-compose\.yml is invalid"):
        local_stack.load(stack.checkout, Path(sys.executable))


def test_without_a_venv_nothing_is_declared(tmp_path):
    shutil.copy(ROOT / local_stack.FILE, tmp_path)
    declared = local_stack.load(Checkout(tmp_path, {}), tmp_path / "no" / "python")
    assert declared.services == {}
    assert not (tmp_path / ".dev").exists()
