"""./dev cloud: what it refuses, and what it asks of an account; moto stands for the account."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from devtools.cloud import account
from devtools.cloud.local import Emulator

ACCOUNT = "123456789012"
CONTAINER = {
    "name": "release",
    "image": "registry.example.com/shop:1",
    "essential": True,
    "command": ["bin/release"],
    "secrets": [
        {"name": "SECRET_KEY", "valueFrom": "/shop/production/SECRET_KEY"},
        {"name": "DATABASE_URL", "valueFrom": "/shop/production/release/DATABASE_URL"},
    ],
    "environment": [{"name": "WEB_PROBE_BIND", "value": "0.0.0.0:8001"}],
    "portMappings": [{"containerPort": 8000}],
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/shop/production", "awslogs-region": "eu-west-1"},
    },
}


def definition(name: str) -> dict[str, Any]:
    return {
        "family": f"shop-{name}",
        "cpu": "256",
        "memory": "512",
        "networkMode": "awsvpc",
        "containerDefinitions": [{**CONTAINER, "name": name}],
    }


PLAN: dict[str, Any] = {
    "endpoint": None,
    "account": ACCOUNT,
    "family": "shop",
    "region": "eu-west-1",
    "prefix": "/shop/production",
    "definitions": {name: definition(name) for name in ("web", "worker", "release")},
    "parameters": {"SECRET_KEY": "one", "release/DATABASE_URL": "two"},
    "port": 8000,
    "probe_port": 8001,
    "probe_path": "/live/",
    "certificate": "",
    "subnets": [],
    "security_groups": [],
    "tenants": [],
    "counts": {"web": 2, "worker": None},
}


@pytest.fixture
def aws(monkeypatch):
    """An account, and its credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-moto")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        session = boto3.Session(region_name="eu-west-1")
        made = session.client("acm").request_certificate(DomainName="*.shop.example.com")
        monkeypatch.setitem(PLAN, "certificate", made["CertificateArn"])
        # moto requires one, AWS does not.
        (group, *_) = session.client("ec2").describe_security_groups()["SecurityGroups"]
        monkeypatch.setitem(PLAN, "security_groups", [group["GroupId"]])
        yield session


@pytest.fixture
def asked(monkeypatch, capsys):
    def ask(command: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        monkeypatch.setenv("CLOUD_PLAN", json.dumps({**PLAN, **changes}))
        monkeypatch.setattr("sys.argv", ["account", command])
        status = account.main()
        return status, json.loads(capsys.readouterr().out.splitlines()[-1])

    return ask


@pytest.fixture
def without_release(monkeypatch):
    """moto starts no container, so the release never ends, and no task of a service runs."""
    ran: list[str] = []
    monkeypatch.setattr(account.Cloud, "_once", lambda _cloud, arn, _command: ran.append(arn))
    monkeypatch.setattr(account.Cloud, "_wait", lambda *_: None)
    return ran


def test_up_and_down_leave_an_account_as_it_was(aws, asked, without_release):
    ssm, logs, ecs = aws.client("ssm"), aws.client("logs"), aws.client("ecs")
    ssm.put_parameter(Name="/shop/production/by-hand", Value="kept", Type="String")
    status, answer = asked("up")
    assert (status, answer["address"][-14:]) == (0, ".amazonaws.com")
    parameter = ssm.get_parameter(Name="/shop/production/SECRET_KEY", WithDecryption=True)
    assert (parameter["Parameter"]["Type"], parameter["Parameter"]["Value"]) == (
        "SecureString",
        "one",
    )
    (web,) = ecs.describe_services(cluster="shop", services=["shop-web"])["services"]
    assert web["desiredCount"] == 2
    (group,) = aws.client("elbv2").describe_target_groups(Names=["shop"])["TargetGroups"]
    assert web["loadBalancers"][0]["targetGroupArn"] == group["TargetGroupArn"]
    assert (group["HealthCheckPort"], group["TargetType"]) == ("8001", "ip")
    asked("roll", parameters={"SECRET_KEY": "three"})
    assert len(without_release) == 2, "one release for each deployment"
    parameter = ssm.get_parameter(Name="/shop/production/SECRET_KEY", WithDecryption=True)
    assert parameter["Parameter"]["Value"] == "three"
    status, answer = asked("down")
    assert (status, len(answer["deleted"])) == (0, 2 + 2 + 6 + 2 + 1 + 1), answer
    assert [one["Name"] for one in ssm.describe_parameters()["Parameters"]] == [
        "/shop/production/by-hand"
    ]
    assert logs.describe_log_groups()["logGroups"] == []
    assert asked("down") == (0, {"deleted": []})


def test_what_others_made_is_neither_used_nor_deleted(aws, asked, without_release):
    aws.client("logs").create_log_group(logGroupName="/shop/production")
    subnet = aws.client("ec2").describe_subnets()["Subnets"][0]
    chosen = {"Protocol": "HTTP", "Port": 80, "TargetType": "ip", "VpcId": subnet["VpcId"]}
    aws.client("elbv2").create_target_group(Name="shop", **chosen)
    status, answer = asked("up")
    assert status == 1
    assert "was not made by ./dev cloud" in answer["problems"][0]["what"]
    assert asked("down")[0] == 1
    assert len(aws.client("logs").describe_log_groups()["logGroups"]) == 1


def test_a_roll_of_nothing_is_refused(aws, asked):
    status, answer = asked("roll")
    assert (status, answer["problems"][0]["remedy"]) == (1, "start them: ./dev cloud up")


def test_parameters_without_a_value_are_refused(aws, asked):
    status, answer = asked("up", parameters={"SECRET_KEY": "one"})
    assert status == 1
    assert "/shop/production/release/DATABASE_URL" in answer["problems"][0]["what"]
    assert not aws.client("ecs").list_task_definitions()["taskDefinitionArns"]


def test_credentials_of_another_account_are_refused(aws, asked):
    status, answer = asked("status", account="999999999999")
    assert status == 1
    assert answer["problems"][0]["what"] == (
        f"the credentials are of account {ACCOUNT}, not 999999999999"
    )


def test_no_credentials_are_a_clear_error(asked, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    status, answer = asked("status")
    assert (status, answer["problems"][0]["what"]) == (
        1,
        f"there are no credentials for account {ACCOUNT}",
    )


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ("up", {"AWS_PROFILE": "shop"}, "AWS_PROFILE is set, but no account is named"),
        ("down --yes", {"AWS_ACCESS_KEY_ID": "AKIA"}, "--account 123456789012"),
        ("status --account 1234", {}, "an account has twelve digits"),
        (f"up --account {ACCOUNT}", {}, "--certificate ARN"),
        ("up --web 0", {}, "--web"),
        ("up --parameters nosuch.json", {}, "nosuch.json cannot be read"),
        ("up --definitions nosuch", {}, "./dev export ecs"),
        ("down", {}, "add --yes to delete without asking"),
        ("status", {}, "the emulator does not run"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_starts(workspace, words, variables, said):
    for name in PLAN["definitions"]:
        workspace.write(f".dev/ecs/{name}.json", json.dumps(definition(name)))
    workspace.variables |= variables
    ended = workspace.dev("cloud", *words.split())
    assert ended.returncode in (1, 2)
    assert said in ended.stderr


def test_the_emulator_gets_no_value_of_a_variable_that_is_not_set():
    declared = {"SECRET_KEY": "one", "DATABASE_URL": "two", "SENTRY_DSN": None}
    service = {"command": CONTAINER["command"], "environment": declared}
    stack = SimpleNamespace(configuration={"services": {"release": service}})
    release = definition("release")
    secrets = release["containerDefinitions"][0]["secrets"]
    nosuch = {"name": "SENTRY_DSN", "valueFrom": "/shop/production/SENTRY_DSN"}
    release["containerDefinitions"][0]["secrets"] = [*secrets, nosuch]
    found = Emulator.parameters(SimpleNamespace(stack=stack), {"release": release})
    assert found == {"SECRET_KEY": "one", "release/DATABASE_URL": "two"}
