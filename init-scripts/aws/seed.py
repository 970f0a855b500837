#!/usr/bin/env python3
"""Seed an AWS emulator with the application's resources: bucket, parameters, accounts.

    seed.py [--wait] [accounts] [store]

Each emulator runs it at its start (emulator.py, localstack/seed_and_keep.py), because emulators
lose their data when they stop; persistence.py then repeats later changes. It creates only what is
missing and keeps changes. With --wait it waits for an emulator that does not answer yet. It
refuses addresses of the real AWS. Exits with 0, or with 1 after a line that names the error and
its remedy.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# --- the resources ------------------------------------------------------------------------

# The bucket and the path of the parameters come from the environment, as for web.
BUCKET = os.environ.get("AWS_STORAGE_BUCKET_NAME", "")
PARAMETER_PATH = os.environ.get("SSM_PARAMETER_PATH") or "/homeport/local"


def forwarded_hosts(port: str) -> list[str]:
    """The host of a forwarded port of this codespace; none outside Codespaces.

    Anyone can have another codespace, and its pages are below the same domain.
    https://docs.github.com/en/codespaces/developing-in-a-codespace/default-environment-variables-for-your-codespace
    """
    name = os.environ.get("CODESPACE_NAME")
    domain = os.environ.get("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN") or "app.github.dev"
    return [f"{name}-{port}.{domain}"] if name else []


CORS = {
    # Only pages of this machine, because an emulator accepts requests without a signature.
    "AllowedOrigins": [
        "http://localhost:*",
        "http://127.0.0.1:*",
        *(f"https://{host}" for host in forwarded_hosts("*")),
    ],
    "AllowedMethods": ["GET", "HEAD", "PUT"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag"],
    "MaxAgeSeconds": 3600,
}
POOL = {
    "PoolName": "homeport-local",
    "UsernameAttributes": ["email"],
    "AutoVerifiedAttributes": ["email"],
    "Policies": {
        "PasswordPolicy": {
            "MinimumLength": 12,
            "RequireLowercase": True,
            "RequireUppercase": True,
            "RequireNumbers": True,
            "RequireSymbols": False,
        }
    },
    # custom:tenant in tokens.
    "Schema": [{"Name": "tenant", "AttributeDataType": "String", "Mutable": True}],
}
APP_CLIENT = {
    "ClientName": "homeport-web",
    "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    # The attributes in tokens; moto omits those that are not listed.
    "ReadAttributes": ["email", "email_verified", "given_name", "custom:tenant"],
    # Writing custom:tenant chooses a tenant, so only administrators may.
    "WriteAttributes": ["email", "given_name"],
}
GROUPS = ("customer", "staff")
SINGLE_TENANT = os.environ.get("SINGLE_TENANT")
TENANTS = (SINGLE_TENANT,) if SINGLE_TENANT else ("test1", "test2")
# Public, and valid only for the emulator on this machine.
PASSWORD = "Sign-in-local-1"  # noqa: S105


def users() -> list[tuple[str, str, str, str]]:
    """Return e-mail address, given name, group and tenant of each demo user."""
    return [
        # Host names have no underscores.
        (f"{group}@{tenant.replace('_', '-')}.example.com", group.capitalize(), group, tenant)
        for tenant in TENANTS
        for group in GROUPS
    ]


# --- the clients --------------------------------------------------------------------------

CONFIG = Config(
    connect_timeout=2,
    read_timeout=30,  # an emulator loads a service at its first call
    retries={"total_max_attempts": 2, "mode": "standard"},
    s3={"addressing_style": "path"},
)


ACCOUNTS, STORE = PARTS = ("accounts", "store")
WAIT = 1  # seconds between two attempts


class NotSeeded(Exception):
    """The emulator could not be seeded; the text names the reason and the remedy."""


class NotYet(NotSeeded):
    """The emulator did not answer, or refused: a retry may succeed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wait", action="store_true", help="wait for the emulators")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    options = parser.parse_args()
    try:
        fill(options.parts or PARTS, wait=options.wait)
    except NotSeeded:
        return 1
    return 0


def fill(parts: Collection[str], *, wait: bool = False) -> None:
    """Seed `parts` and report it; with `wait`, once the emulators answer.

    Raises:
        NotSeeded: which is reported, too.
    """
    started, said = time.monotonic(), ""
    while True:
        try:
            made = seed(parts)
            break
        except NotSeeded as fault:
            if not (wait and isinstance(fault, NotYet)):
                say("error", "not seeded", error=str(fault))
                raise
            if said != str(fault):
                said = str(fault)
                say("warning", "not seeded yet", error=said)
            time.sleep(WAIT)
    say("info", "seeded", made=made, seconds=round(time.monotonic() - started, 2))


def seed(parts: Collection[str] = PARTS) -> int:
    """Create the missing resources of `parts`; return their number.

    The store's parameters name the pool, so the part `accounts` must exist or be seeded too.

    Raises:
        NotSeeded: on every failure.
    """
    clients = connect(os.environ)
    cognito, made = clients["cognito-idp"], 0
    endpoint = cognito.meta.endpoint_url
    try:
        pool, new = _pool(cognito)
        client, new_client = _app_client(cognito, pool)
        made += new + new_client + _accounts(cognito, pool)
        if STORE not in parts:
            return made
        parameters = {"COGNITO_USER_POOL_ID": pool, "COGNITO_APP_CLIENT_ID": client}
        endpoint = clients["s3"].meta.endpoint_url
        if BUCKET:
            made += _bucket(clients["s3"])
            parameters["AWS_STORAGE_BUCKET_NAME"] = BUCKET
        endpoint = clients["ssm"].meta.endpoint_url
        return made + _parameters(clients["ssm"], cognito, parameters)
    except ClientError as error:
        raise NotYet(f"{endpoint} refused: {error}. See: ./dev logs localstack cognito") from error
    except BotoCoreError as error:
        raise NotYet(
            f"no emulator answers at {endpoint} ({error}). See: ./dev logs localstack cognito; "
            "start it: ./dev up"
        ) from error


def connect(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return a client for each service of the emulator.

    Raises:
        NotSeeded: with all problems of the environment.
    """
    faults = []
    region = environment.get("AWS_DEFAULT_REGION", "")
    if region not in boto3.Session().get_available_regions("s3"):
        faults.append(f"AWS_DEFAULT_REGION={region!r} is not a region of AWS, e.g. eu-west-1")
    # Without them boto3 would search this machine for keys, and may find real ones.
    faults += [
        f"{name} is not set; use test for an emulator"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        if not environment.get(name)
    ]
    if faults:
        raise NotSeeded("; ".join(faults))
    try:
        clients = {name: boto3.client(name, config=CONFIG) for name in ("s3", "ssm", "cognito-idp")}
    except ValueError as error:
        raise NotSeeded(f"{error}: AWS_ENDPOINT_URL must be like http://localstack:4566") from error
    real = [name for name, client in clients.items() if _is_aws(client.meta.endpoint_url)]
    if real:
        raise NotSeeded(
            f"this would seed the real AWS ({', '.join(real)}), which is refused: set "
            "AWS_ENDPOINT_URL to an emulator, e.g. http://localstack:4566"
        )
    return clients


def _is_aws(url: str) -> bool:
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".on.aws"))


# --- the parts: create missing resources, return their number -----------------------------


def _bucket(s3: Any) -> int:
    missing = _existing(s3.head_bucket, Bucket=BUCKET) is None
    if missing:
        region = s3.meta.region_name
        # us-east-1 must not be named as a constraint.
        place = {} if region == "us-east-1" else {"LocationConstraint": region}
        configuration = {"CreateBucketConfiguration": place} if place else {}
        s3.create_bucket(Bucket=BUCKET, **configuration)
    if _existing(s3.get_bucket_cors, Bucket=BUCKET) is None:
        s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [CORS]})
    return report("bucket", BUCKET, missing)


def _pool(cognito: Any) -> tuple[str, int]:
    pages = cognito.get_paginator("list_user_pools").paginate(MaxResults=60)
    name = POOL["PoolName"]
    found = [pool["Id"] for page in pages for pool in page["UserPools"] if pool["Name"] == name]
    identifier = found[0] if found else cognito.create_user_pool(**POOL)["UserPool"]["Id"]
    return identifier, report("user pool", identifier, not found)


def _app_client(cognito: Any, pool: str) -> tuple[str, int]:
    pages = cognito.get_paginator("list_user_pool_clients").paginate(UserPoolId=pool)
    name = APP_CLIENT["ClientName"]
    found = [
        client["ClientId"]
        for page in pages
        for client in page["UserPoolClients"]
        if client["ClientName"] == name
    ]
    if found:
        return found[0], report("app client", found[0], False)
    made = cognito.create_user_pool_client(UserPoolId=pool, **APP_CLIENT)["UserPoolClient"]
    return made["ClientId"], report("app client", made["ClientId"], True)


def _accounts(cognito: Any, pool: str) -> int:
    made = 0
    for group in GROUPS:
        missing = _existing(cognito.get_group, UserPoolId=pool, GroupName=group) is None
        if missing:
            cognito.create_group(UserPoolId=pool, GroupName=group)
        made += report("group", group, missing)
    for email, given_name, group, tenant in users():
        who = {"UserPoolId": pool, "Username": email}
        user = _existing(cognito.admin_get_user, **who)
        missing = user is None
        if missing:
            attributes = {
                "email": email,
                "email_verified": "true",
                "given_name": given_name,
                "custom:tenant": tenant,
            }
            user = cognito.admin_create_user(
                **who,
                UserAttributes=[{"Name": k, "Value": v} for k, v in attributes.items()],
                MessageAction="SUPPRESS",
            )["User"]
        # The password is set last: a user without one was left by an interrupted seed.
        if user["UserStatus"] == "FORCE_CHANGE_PASSWORD":
            cognito.admin_add_user_to_group(**who, GroupName=group)
            cognito.admin_set_user_password(**who, Password=PASSWORD, Permanent=True)
        made += report("user", email, missing)
    return made


def _parameters(ssm: Any, cognito: Any, wanted: Mapping[str, str]) -> int:
    names = {f"{PARAMETER_PATH}/{name}": value for name, value in wanted.items()}
    known = {
        parameter["Name"]: parameter["Value"]
        for parameter in ssm.get_parameters(Names=list(names))["Parameters"]
    }
    lost = _name_a_lost_pool(cognito, known)
    changed = {
        name: value
        for name, value in names.items()
        if name not in known or (name in lost and known[name] != value)
    }
    for name, value in changed.items():
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    return sum(report("parameter", name, name in changed) for name in names)


def _name_a_lost_pool(cognito: Any, known: Mapping[str, str]) -> Collection[str]:
    """Return the parameters that name a pool and its client, if these no longer exist."""
    names = [f"{PARAMETER_PATH}/COGNITO_{which}_ID" for which in ("USER_POOL", "APP_CLIENT")]
    if not all(known.get(name) for name in names):
        return names
    pool, client = (known[name] for name in names)
    found = _existing(cognito.describe_user_pool_client, UserPoolId=pool, ClientId=client)
    return names if found is None else ()


MISSING = {
    "404",
    "NoSuchBucket",
    "NoSuchCORSConfiguration",
    "ResourceNotFoundException",
    "UserNotFoundException",
}


def _existing(get: Any, **which: str) -> dict[str, Any] | None:
    """Return the result of `get`, or None if the resource does not exist."""
    try:
        return get(**which)
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING:
            return None
        raise


# --- output: JSON lines like the application's, or text ----------------------------------


def report(kind: str, name: str, is_new: bool) -> int:
    """Report one resource; return 1 if it was created, else 0."""
    say("info", "made" if is_new else "present", kind=kind, name=name)
    return int(is_new)


def say(level: str, event: str, **facts: object) -> None:
    if os.environ.get("LOG_FORMAT") == "console":
        print(f"{event:8}", *(f"{key}={value}" for key, value in facts.items()), flush=True)
        return
    first = {
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "level": level,
        "event": event,
        "logger": "seed",
    }
    print(json.dumps(first | facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
