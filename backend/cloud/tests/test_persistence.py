"""A killed emulator has its files, parameters and users again."""

from __future__ import annotations

import importlib
import json
import os
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from cloud.tests.conftest import PASSWORD, as_emulated, emulated

EMULATOR = Path(__file__).parents[3] / "init-scripts" / "aws" / "emulator.py"
BUCKET = "kept-files"
# More than one part of an upload.
LARGE = bytes(9_000_000)

# --- moto, killed -------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path, monkeypatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return a function that starts an emulator, after killing it, and returns what it says."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    as_emulated(monkeypatch, url)
    variables = os.environ | emulated(url) | {"LOG_FORMAT": "json"}
    variables["AWS_STORAGE_BUCKET_NAME"] = BUCKET
    command = [sys.executable, "-B", EMULATOR, "--port", port]
    running: list[subprocess.Popen] = []

    def kill() -> None:
        for process in running:
            process.kill()
            process.communicate()

    def restart() -> list[dict[str, Any]]:
        kill()
        process = subprocess.Popen(
            [*command, "--changes", tmp_path / "changes.jsonl"],
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        running[:] = [process]
        said = [json.loads(process.stdout.readline())]
        while said[-1]["event"] != "repeated":
            said.append(json.loads(process.stdout.readline()))
        return said

    yield restart
    kill()


def test_files_parameters_and_users_survive_a_kill(start):
    start()
    # It listens a moment after it has said so.
    patient = Config(retries={"total_max_attempts": 10}, s3={"addressing_style": "path"})
    s3, ssm, cognito = (boto3.client(name, config=patient) for name in ("s3", "ssm", "cognito-idp"))
    change_files(s3)
    for value in ("old", "new"):
        ssm.put_parameter(Name="/mine", Value=value, Type="SecureString", Overwrite=True)
    pool = cognito.list_user_pools(MaxResults=1)["UserPools"][0]["Id"]
    client = cognito.list_user_pool_clients(UserPoolId=pool)["UserPoolClients"][0]["ClientId"]
    user = {"UserPoolId": pool, "Username": "new@example.com"}
    make_user(cognito, client, user)
    before = cognito.admin_get_user(**user)

    assert start()[-1]["refused"] == 0

    found = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    files = {key: s3.get_object(Bucket=BUCKET, Key=key) for key in (one["Key"] for one in found)}
    assert {key: file["Body"].read() for key, file in files.items()} == {
        "a b+ä%.txt": b"1",
        "copy": b"copied",
        "large": LARGE,
        "signed": b"2",
    }
    assert files["a b+ä%.txt"]["Metadata"] == {"by": "me"}
    parameter = ssm.get_parameter(Name="/mine", WithDecryption=True)["Parameter"]
    assert (parameter["Value"], parameter["Version"]) == ("new", 2)
    assert cognito.admin_get_user(**user)["UserAttributes"] == before["UserAttributes"]
    assert "AuthenticationResult" in log_in(cognito, client, PASSWORD)


def change_files(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="a b+ä%.txt", Body=b"1", Metadata={"by": "me"})
    s3.upload_fileobj(BytesIO(LARGE), BUCKET, "large")
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"copied")
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/source")
    s3.delete_object(Bucket=BUCKET, Key="source")
    s3.put_object(Bucket=BUCKET, Key="gone", Body=b"")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "gone"}]})
    where = {"Bucket": BUCKET, "Key": "signed"}
    url = s3.generate_presigned_url("put_object", where, ExpiresIn=60)
    upload = urllib.request.Request(url, b"2", {"Content-Type": "text/plain"}, method="PUT")
    urllib.request.urlopen(upload).close()


def make_user(cognito: Any, client: str, user: dict[str, str]) -> None:
    """Make a user, who chooses a password at the first log-in."""
    email = [{"Name": "email", "Value": user["Username"]}]
    cognito.admin_create_user(**user, UserAttributes=email, TemporaryPassword="Temporary-1-pass")
    challenge = log_in(cognito, client, "Temporary-1-pass")
    cognito.respond_to_auth_challenge(
        ClientId=client,
        ChallengeName=challenge["ChallengeName"],
        Session=challenge["Session"],
        ChallengeResponses={"USERNAME": user["Username"], "NEW_PASSWORD": PASSWORD},
    )


def log_in(cognito: Any, client: str, password: str) -> dict[str, Any]:
    answers = {"USERNAME": "new@example.com", "PASSWORD": password}
    return cognito.initiate_auth(
        ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=answers
    )


# --- the file of changes ------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path, monkeypatch, capsys) -> SimpleNamespace:
    """A persistent application that stores nothing, and what it was asked, as METHOD URL BODY."""
    monkeypatch.syspath_prepend(EMULATOR.parent)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("LOG_FORMAT", "json")
    module = importlib.import_module("persistence")
    asked: list[str] = []

    @Request.application
    def application(request: Request) -> Response:
        asked.append(f"{request.method} {request.full_path.rstrip('?')} {request.data.decode()}")
        refused = "refused" in request.path
        return Response("NoSuchBucket" if refused else "", status=404 if refused else 200)

    file = tmp_path / "changes.jsonl"
    persistent = module.Persistent(application, file)

    def repeat() -> list[dict[str, Any]]:
        capsys.readouterr()
        asked.clear()
        persistent.repeat()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return SimpleNamespace(client=Client(persistent), asked=asked, file=file, repeat=repeat)


def test_only_successful_changes_are_kept_and_only_for_the_owner(kept):
    kept.client.put("/bucket/a", data="1")
    kept.client.get("/bucket/a")
    kept.client.put("/bucket/refused", data="1")
    kept.client.post("/", headers={"X-Amz-Target": "AmazonSSM.GetParameters"})
    kept.client.post("/", headers={"X-Amz-Target": "AmazonSSM.PutParameter"}, data="2")
    kept.client.post("/", data={"Action": "GetCallerIdentity"})
    kept.client.post("/moto-api/reset")

    assert kept.repeat()[-1]["changes"] == 2
    assert kept.asked == ["PUT /bucket/a 1", "POST / 2"]
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600


def test_what_was_replaced_or_deleted_is_not_kept(kept):
    for number in range(3):
        kept.client.put("/bucket/a", data=str(number))
    kept.client.put("/bucket/a?tagging=", data="tags")
    kept.client.put("/bucket/b")
    kept.client.delete("/bucket/b")
    kept.client.put("/gone")
    kept.client.put("/gone/a")
    kept.client.delete("/gone")
    # What was copied is needed for the copy.
    kept.client.put("/source/a")
    kept.client.put("/bucket/copy", headers={"X-Amz-Copy-Source": "source/a"})
    kept.client.delete("/source/a")

    kept.repeat()
    assert kept.asked == [
        "PUT /bucket/a 2",
        "PUT /bucket/a?tagging= tags",
        "PUT /source/a ",
        "PUT /bucket/copy ",
        "DELETE /source/a ",
    ]
    assert len(kept.file.read_text().splitlines()) == 5


def test_a_presigned_upload_is_repeated_after_its_url_expired(kept):
    kept.client.put("/bucket/a?X-Amz-Expires=1&X-Amz-Signature=abc&x-id=PutObject", data="1")

    kept.repeat()
    assert kept.asked == ["PUT /bucket/a?x-id=PutObject 1"]
    assert "Credential=test/" in json.loads(kept.file.read_text())["headers"]["Authorization"]


def test_what_cannot_be_repeated_is_reported_and_the_rest_is_repeated(kept):
    for key in "ab":
        kept.client.put(f"/bucket/{key}")
    first, second = kept.file.read_text().splitlines()
    # The last line was cut off.
    kept.file.write_text(f"{first.replace('bucket', 'refused')}\n{second}\n{first[:40]}")

    unreadable, refused, repeated = kept.repeat()

    assert (unreadable["event"], unreadable["line"]) == ("unreadable", 3)
    assert (refused["request"], refused["response"]) == ("PUT /refused/a", "NoSuchBucket")
    assert (repeated["changes"], repeated["refused"]) == (2, 1)
    assert kept.asked == ["PUT /refused/a ", "PUT /bucket/b "]
