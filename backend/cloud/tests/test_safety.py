"""Emulators at home and AWS in production, and neither by mistake."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import Tags, registry

from cloud import checks
from cloud.clients import client
from cloud.tests.conftest import POOL, emulated
from cloud.tests.staying_home import LeftTheMachine
from core.env import Environment, EnvironmentProblems, read
from core.tests.test_env import PRODUCTION

BACKEND = Path(__file__).parents[2]

# --- production ---------------------------------------------------------------------------

FOR_EMULATORS = {
    "AWS_ENDPOINT_URL": "http://localstack:4566",
    "AWS_ENDPOINT_URL_S3": "http://localstack:4566",
    "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": "http://cognito:5000",
    "AWS_S3_PUBLIC_ENDPOINT_URL": "http://localhost:4566",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


def test_production_refuses_all_that_is_for_emulators_at_once():
    with pytest.raises(EnvironmentProblems) as caught:
        read(PRODUCTION | FOR_EMULATORS)

    text = str(caught.value)
    assert text.startswith(f"{len(FOR_EMULATORS)} problems")
    for name in FOR_EMULATORS:
        assert f"unset {name}" in text


@pytest.mark.parametrize("name", FOR_EMULATORS)
def test_production_refuses_each_and_the_other_modes_do_not(name):
    with pytest.raises(EnvironmentProblems, match=f"{name} .*refused in production"):
        read(PRODUCTION | {name: FOR_EMULATORS[name]})

    assert read({"DJANGO_SETTINGS_MODULE": "core.settings.local", **FOR_EMULATORS})


def test_production_takes_real_keys_and_empty_endpoints():
    real = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x" * 40}

    assert read(PRODUCTION | real | {"AWS_ENDPOINT_URL": ""}).mode == "production"


@pytest.fixture
def in_production(monkeypatch):
    monkeypatch.setattr(checks, "environment", lambda: Environment("production", {}))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


def check() -> list[str]:
    return [
        f"{error.id} {error.msg} {error.hint}" for error in checks.no_emulator_in_production(None)
    ]


@pytest.mark.usefixtures("in_production")
class TestTheSystemCheck:
    def test_is_content_with_aws(self):
        assert check() == []

    @pytest.mark.parametrize("name", FOR_EMULATORS)
    def test_names_a_variable_for_emulators(self, monkeypatch, name):
        monkeypatch.setenv(name, FOR_EMULATORS[name])

        (said,) = check()
        assert said.startswith(f"cloud.E001 {name} ")
        assert f"Unset {name}." in said

    def test_sees_the_endpoints_of_a_configuration_file(self, monkeypatch, tmp_path):
        file = tmp_path / "config"
        file.write_text(
            "[default]\nendpoint_url = http://localhost:4566\nservices = mine\n"
            "[services mine]\ns3 =\n  endpoint_url = http://localhost:4567\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))

        said = check()
        assert len(said) == 2
        assert f"endpoint_url in {file}" in said[0]
        assert f"endpoint_url of s3 in {file}" in said[1]


def test_the_system_check_is_one_of_security_and_minds_production_only(monkeypatch):
    assert checks.no_emulator_in_production in registry.registry.registered_checks
    assert Tags.security in checks.no_emulator_in_production.tags
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localstack:4566")
    assert check() == []


def test_cognito_needs_its_pool_and_client():
    source = {"DJANGO_SETTINGS_MODULE": "core.settings.local", "API_TOKENS": "local,cognito"}

    with pytest.raises(EnvironmentProblems) as caught:
        read(source)
    assert "COGNITO_USER_POOL_ID is not set, and API_TOKENS=local,cognito needs it" in str(
        caught.value
    )
    assert "COGNITO_APP_CLIENT_ID is not set" in str(caught.value)
    complete = source | {"COGNITO_USER_POOL_ID": POOL, "COGNITO_APP_CLIENT_ID": "x"}
    assert read(complete)["COGNITO_USER_POOL_ID"] == POOL


@pytest.mark.parametrize("pool", ["Ab1Cd2Ef3", "local_8", "eu-west-1", "eu-west-1_", "a/b_1"])
def test_what_is_no_pool_is_refused(pool):
    with pytest.raises(EnvironmentProblems, match="is not the id of a Cognito user pool"):
        read({"DJANGO_SETTINGS_MODULE": "core.settings.local", "COGNITO_USER_POOL_ID": pool})


# --- at home ------------------------------------------------------------------------------


def in_a_process(script: str, home: Path, **variables: str) -> dict:
    """Run a script in a separate environment; return the JSON it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import json, os\n{script}"],
        cwd=BACKEND,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


CREDENTIALS = """
import cloud, botocore.session
session = botocore.session.get_session()
found = session.get_credentials()
print(json.dumps({"key": found and found.access_key, "profile": session.profile}))
"""


@pytest.fixture
def developer(tmp_path) -> Path:
    """The home directory of somebody with real keys."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = real\n"
        "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = real\n"
    )
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = us-west-2\n")
    return tmp_path


def test_a_developers_own_keys_are_not_found_where_an_emulator_is_spoken_to(developer):
    home = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_PROFILE": "work"}

    assert in_a_process(CREDENTIALS, developer, **home)["key"] is None
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    assert in_a_process(CREDENTIALS, developer, **home, **keys)["key"] == "test"


def test_the_same_keys_are_found_where_no_emulator_is_named(developer):
    away = {"AWS_EC2_METADATA_DISABLED": "true"}

    assert in_a_process(CREDENTIALS, developer, **away)["key"] == "AKIAREAL"
    assert in_a_process(CREDENTIALS, developer, AWS_PROFILE="work", **away)["key"] == "AKIAWORK"
    ignored = {"AWS_ENDPOINT_URL": "http://x:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert in_a_process(CREDENTIALS, developer, **ignored, **away)["key"] == "AKIAREAL"


def test_neither_a_role_nor_a_metadata_service_is_asked_for_keys_at_home(developer):
    """Each of them would be a call to AWS, which is refused here."""
    script = CREDENTIALS.replace(
        "import cloud,",
        "from cloud.tests.staying_home import stay_home; stay_home()\nimport cloud,",
    )
    roles = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2/keys",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(developer / "token"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
    }
    assert in_a_process(script, developer, AWS_ENDPOINT_URL="http://127.0.0.1:9", **roles) == {
        "key": None,
        "profile": None,
    }


# --- the same variables, at home and in the cloud -----------------------------------------

WHERE = """
from cloud.clients import client
from cloud.cognito import UserPool
pool = UserPool("eu-west-1_Ab1Cd2Ef3", "client")
found = {name: client(name).meta.endpoint_url for name in ("s3", "ssm", "cognito-idp")}
print(json.dumps({**found, "issuer": pool.issuer, "keys": pool.keys.url}))
"""


def test_the_cloud_is_the_same_environment_without_endpoints_and_keys(developer):
    home = emulated("http://localstack:4566") | {
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": "http://cognito:5000"
    }
    cloud = {
        name: value
        for name, value in home.items()
        if not name.startswith("AWS_ENDPOINT_URL")
        and name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    assert cloud == {"AWS_DEFAULT_REGION": "eu-west-1"}
    issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab1Cd2Ef3"

    assert in_a_process(WHERE, developer, **home) == {
        "s3": "http://localstack:4566",
        "ssm": "http://localstack:4566",
        "cognito-idp": "http://cognito:5000",
        "issuer": issuer,
        "keys": "http://cognito:5000/eu-west-1_Ab1Cd2Ef3/.well-known/jwks.json",
    }
    assert in_a_process(WHERE, developer, **cloud) == {
        "s3": "https://s3.eu-west-1.amazonaws.com",
        "ssm": "https://ssm.eu-west-1.amazonaws.com",
        "cognito-idp": "https://cognito-idp.eu-west-1.amazonaws.com",
        "issuer": issuer,
        "keys": f"{issuer}/.well-known/jwks.json",
    }


# --- tests --------------------------------------------------------------------------------


def test_no_test_talks_to_the_world():
    with pytest.raises(LeftTheMachine, match=r"look-up of s3\.eu-west-1\.amazonaws\.com"):
        socket.create_connection(("s3.eu-west-1.amazonaws.com", 443), timeout=1)


@pytest.mark.parametrize("address", ["93.184.215.14", "10.255.255.1", "169.254.169.254"])
def test_no_test_connects_to_an_address_away_from_here(address):
    with socket.socket() as one, pytest.raises(LeftTheMachine, match=address):
        one.connect((address, 80))
    with socket.socket() as one, pytest.raises(LeftTheMachine, match=address):
        one.connect_ex((address, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(LeftTheMachine):
        one.sendto(b"x", (address, 53))


def test_a_client_that_lost_its_endpoint_is_stopped(emulator, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    with pytest.raises(LeftTheMachine, match=r"amazonaws\.com"):
        client("ssm").get_parameter(Name="/homeport/local/SECRET_KEY")


def test_this_machine_may_be_talked_to(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as here:
        socket.create_connection(("localhost", here.getsockname()[1])).close()
    with socket.socket(socket.AF_UNIX) as here, socket.socket(socket.AF_UNIX) as there:
        here.bind(str(tmp_path / "s"))
        here.listen()
        there.connect(str(tmp_path / "s"))
