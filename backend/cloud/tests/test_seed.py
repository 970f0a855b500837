"""An empty emulator is filled, a filled one left alone, and the real AWS never touched."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import boto3
import jwt
import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from cloud.tests.conftest import emulated

# Those that the running emulator, if there is one, has accounts of.
ONLY = os.environ.get("SINGLE_TENANT")
TENANTS = [ONLY] if ONLY else ["test1", "test2"]
SEED = Path(__file__).parents[3] / "init-scripts" / "aws" / "seed.py"


@pytest.fixture
def seed(emulator):
    """Return a function that runs the script with a bucket and parameters of the test's own.

    It returns the exit status and the lines that were written.
    """
    own = f"test-{uuid.uuid4().hex}"

    def run(**variables: str) -> tuple[int, list[dict]]:
        environment = {**os.environ, "AWS_STORAGE_BUCKET_NAME": own, "LOG_FORMAT": "json"}
        environment |= {"SSM_PARAMETER_PATH": f"/{own}/local"} | variables
        ended = subprocess.run([SEED], env=environment, capture_output=True, text=True, check=False)
        assert not ended.stderr, ended.stderr
        return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]

    run.bucket = own
    yield run
    bucket = boto3.resource("s3").Bucket(own)
    if bucket in boto3.resource("s3").buckets.all():
        bucket.delete()


def parameters(path: str) -> dict[str, str]:
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path)
    return {p["Name"].rpartition("/")[2]: p["Value"] for page in pages for p in page["Parameters"]}


def test_an_empty_aws_is_filled_and_a_filled_one_left_alone(seed):
    status, lines = seed()
    assert status == 0
    assert lines[-1]["event"] == "seeded"
    assert all(line.keys() >= {"timestamp", "level", "event", "logger"} for line in lines)
    found = parameters(f"/{seed.bucket}/local")
    assert found.keys() == {
        *("AWS_STORAGE_BUCKET_NAME", "COGNITO_USER_POOL_ID", "COGNITO_APP_CLIENT_ID")
    }
    assert found["AWS_STORAGE_BUCKET_NAME"] == seed.bucket
    cors = boto3.client("s3").get_bucket_cors(Bucket=seed.bucket)["CORSRules"]
    assert "GET" in cors[0]["AllowedMethods"]

    status, lines = seed()
    assert (status, lines[-1]["made"]) == (0, 0)
    assert parameters(f"/{seed.bucket}/local") == found


def test_what_was_lost_or_changed_is_mended(seed):
    seed()
    boto3.client("s3").delete_bucket(Bucket=seed.bucket)
    name = f"/{seed.bucket}/local/COGNITO_APP_CLIENT_ID"
    boto3.client("ssm").put_parameter(Name=name, Value="of-yesterday", Overwrite=True)

    made = [(line["kind"], line["name"]) for line in seed()[1] if line["event"] == "made"]
    assert made == [("bucket", seed.bucket), ("parameter", name)]


def test_what_somebody_changed_stays(seed):
    seed()
    name = f"/{seed.bucket}/local/AWS_STORAGE_BUCKET_NAME"
    boto3.client("ssm").put_parameter(Name=name, Value="of-somebody", Overwrite=True)
    rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"]}]
    boto3.client("s3").put_bucket_cors(Bucket=seed.bucket, CORSConfiguration={"CORSRules": rules})

    assert seed()[1][-1]["made"] == 0

    assert parameters(f"/{seed.bucket}/local")["AWS_STORAGE_BUCKET_NAME"] == "of-somebody"
    found = boto3.client("s3").get_bucket_cors(Bucket=seed.bucket)["CORSRules"]
    assert found[0]["AllowedOrigins"] == ["https://example.com"]


def test_it_waits_for_an_emulator_that_answers_only_when_it_is_filled():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    variables = {**os.environ, **emulated(f"http://127.0.0.1:{port}")}
    variables |= {"AWS_STORAGE_BUCKET_NAME": "late", "LOG_FORMAT": "json"}
    variables.pop("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", None)
    moto = [sys.executable, "-B", SEED.with_name("emulator.py"), "--port", port, "accounts"]
    with subprocess.Popen(
        [SEED, "--wait"], env=variables, stdout=subprocess.PIPE, text=True
    ) as waiting:
        assert "no emulator answers" in json.loads(waiting.stdout.readline())["error"]
        with subprocess.Popen(moto, env=variables, stdout=subprocess.DEVNULL) as emulator:
            lines = [json.loads(line) for line in waiting.stdout]
            emulator.terminate()
    assert (waiting.returncode, lines[-1]["event"]) == (0, "seeded")
    made = {line["kind"] for line in lines if line["event"] == "made"}
    assert made == {"bucket", "parameter"}  # the accounts were there as soon as it answered


def in_an_emulator(code: str) -> str:
    """Return what Python code prints that finds the launcher prepared."""
    prepared = "import emulator, sys; emulator.read_descriptions_once();"
    prepared += "emulator.leave_out_machines();"
    command = [sys.executable, "-Bc", prepared + code]
    variables = {**os.environ, **emulated(""), "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    done = subprocess.run(
        command, cwd=SEED.parent, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_emulator_does_not_load_machines_with_parameter_store():
    code = "import moto.ssm; print('moto.ssm.models' in sys.modules, 'moto.ec2' in sys.modules)"
    assert in_an_emulator(code) == "True False\n"


def test_parameter_store_still_finds_machines_to_run_a_command_on():
    code = (
        "import boto3, moto; moto.mock_aws().start(); ssm = boto3.client('ssm');"
        "target = [{'Key': 'tag:Name', 'Values': ['none']}];"
        "sent = ssm.send_command(DocumentName='AWS-RunShellScript', Targets=target)['Command'];"
        "print(sent['TargetCount'], 'moto.ec2' in sys.modules)"
    )
    assert in_an_emulator(code) == "0 True\n"


def test_the_emulator_reads_the_description_of_a_service_once_for_all_clients():
    code = (
        "import boto3; from moto.core.utils import get_service_model;"
        "from botocore.loaders import JSONFileLoader as Files; load, read = Files.load_file, [];"
        "Files.load_file = lambda self, p: (found := load(self, p), found and read.append(p))[0];"
        "boto3.Session().client('ssm'); boto3.Session().get_available_regions('ssm');"
        "get_service_model('ssm'); print(sum('/ssm/' in p and '/service-2' in p for p in read))"
    )
    assert in_an_emulator(code) == "1\n"


@pytest.mark.parametrize("group", ["customer", "staff"])
@pytest.mark.parametrize("tenant", TENANTS)
def test_each_tenant_has_users_who_can_log_in(seed, tenant, group):
    seed()
    client = parameters(f"/{seed.bucket}/local")["COGNITO_APP_CLIENT_ID"]
    email = f"{group}@{tenant.replace('_', '-')}.example.com"
    tokens = boto3.client("cognito-idp").initiate_auth(
        ClientId=client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={
            "USERNAME": email,
            "PASSWORD": "Sign-in-local-1",
        },
    )["AuthenticationResult"]
    claims = jwt.decode(tokens["IdToken"], options={"verify_signature": False})
    assert claims["custom:tenant"] == tenant
    assert claims["cognito:groups"] == [group]
    assert claims["email"] == email


def test_without_a_bucket_files_stay_on_disk(seed):
    assert seed(AWS_STORAGE_BUCKET_NAME="")[0] == 0
    assert "AWS_STORAGE_BUCKET_NAME" not in parameters(f"/{seed.bucket}/local")


def test_words_for_people(seed, emulator):
    environment = {**os.environ, "AWS_DEFAULT_REGION": "mars", "LOG_FORMAT": "console"}
    ended = subprocess.run([SEED], env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("not seeded error=AWS_DEFAULT_REGION='mars' is not a region")


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"AWS_ENDPOINT_URL": ""}, "would seed the real AWS"),
        ({"AWS_ENDPOINT_URL": "https://s3.eu-west-1.amazonaws.com"}, "would seed the real AWS"),
        ({"AWS_ENDPOINT_URL_SSM": "https://ssm.eu-west-1.amazonaws.com"}, "the real AWS (ssm)"),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "would seed the real AWS"),
        ({"AWS_DEFAULT_REGION": "eu-west-99"}, "'eu-west-99' is not a region"),
        ({"AWS_DEFAULT_REGION": ""}, "'' is not a region"),
        ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID is not set; use test for an emulator"),
        ({"AWS_ENDPOINT_URL": "localstack"}, "must be like http://localstack:4566"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "start it: ./dev up"),
        ({"AWS_ENDPOINT_URL": "http://nowhere.invalid:4566"}, "start it: ./dev up"),
    ],
)
def test_what_is_wrong_is_said_at_once_and_with_a_mend(seed, variables, fault, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", raising=False)
    started = time.monotonic()
    status, lines = seed(**variables)
    assert status == 1
    assert fault in lines[-1]["error"]
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("", "127.0.0.1:5050", "200"),
        ("", "cognito:5000", "200"),
        ("http://localhost:8000", "localhost:4566", "200"),
        ("http://test1.localhost:8000", "[::1]:4566", "200"),
        ("https://mine-8000.app.github.dev", "mine-4566.app.github.dev", "200"),
        ("https://mine-8000.app.github.dev", "localhost:4566", "200"),
        ("https://other-8000.app.github.dev", "localhost:4566", "403"),
        ("https://not-mine-8000.app.github.dev", "localhost:4566", "403"),
        ("https://mine-8000.app.github.dev.evil.example", "localhost:4566", "403"),
        ("https://evil.example", "localhost:4566", "403"),
        ("http://192.168.1.7", "localhost:4566", "403"),
        ("null", "localhost:4566", "403"),
        ("", "evil.example:4566", "403"),
        ("http://evil.example:4566", "evil.example:4566", "403"),
    ],
)
def test_an_emulator_refuses_pages_of_other_sites(monkeypatch, origin, host, status):
    monkeypatch.setenv("CODESPACE_NAME", "mine")
    monkeypatch.syspath_prepend(SEED.parent)
    front = importlib.import_module("emulator").OwnPages(Response("served"))
    answer = Client(front).post("/", headers={"Origin": origin, "Host": host})
    assert answer.status.startswith(status)


@pytest.mark.parametrize("host", ["mine-4566.app.github.dev", "-4566.app.github.dev"])
def test_outside_codespaces_an_emulator_refuses_every_codespace(monkeypatch, host):
    monkeypatch.delenv("CODESPACE_NAME", raising=False)
    monkeypatch.syspath_prepend(SEED.parent)
    front = importlib.import_module("emulator").OwnPages(Response("served"))
    assert Client(front).get("/", headers={"Host": host}).status.startswith("403")
