"""An AWS for the tests: a real moto_server, and a small server of keys."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import botocore.session
import jwt
import pytest
from botocore.client import BaseClient
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection
from django.utils.module_loading import import_string
from django_tenants.utils import tenant_context

from cloud.clients import stay_at_home
from cloud.cognito import UserPool, user_pool
from cloud.storage import TenantS3Storage
from core.settings.base import AUTHENTICATION_CLASSES
from tenants.models import Tenant
from users.views import ProfileView

REGION = "eu-west-1"
PASSWORD = "Correct-horse-1"


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Run moto_server; yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            pytest.fail(f"moto_server ended: {''.join(said)}")
        # It logs every request; a full pipe would stop it.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        with pytest.MonkeyPatch.context() as monkeypatch:
            as_emulated(monkeypatch, found[1])
            # The first question to each service makes moto load it, longer than requests wait.
            patient_client("ssm").describe_parameters()
            patient_client("cognito-idp").list_user_pools(MaxResults=1)
        yield found[1]
        process.terminate()


COGNITO = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"
NAMED = {name: os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", COGNITO)}


@pytest.fixture
def emulator(request, monkeypatch) -> str:
    """Use the emulators that the environment names, like a local stack; else moto.

    Named they are in a container of web, where parameters are LocalStack's. Returns the URL.
    """
    url = NAMED["AWS_ENDPOINT_URL"] or request.getfixturevalue("moto")
    as_emulated(monkeypatch, url)
    if NAMED["AWS_ENDPOINT_URL"]:
        monkeypatch.setenv(COGNITO, NAMED[COGNITO])
    return url


def patient_client(service: str) -> BaseClient:
    """Return a client that waits for a busy emulator as long as it takes."""
    return botocore.session.get_session().create_client(service)


def as_emulated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in emulated(url).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "")  # so that what is set now is taken back at the end
    monkeypatch.setenv("BOTO_CONFIG", "")
    stay_at_home()


def emulated(url: str) -> dict[str, str]:
    return {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


# --- files --------------------------------------------------------------------------------


@pytest.fixture
def refused(monkeypatch) -> Iterator[str]:
    """The URL of an emulator in force that does not run."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # keeps the port from all others, and refuses connections
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        as_emulated(monkeypatch, url)
        yield url


@pytest.fixture
def bucket(emulator) -> Iterator[Any]:
    """An empty bucket, gone at the end."""
    bucket = boto3.resource("s3").Bucket(f"test-{uuid.uuid4().hex}")
    bucket.create(CreateBucketConfiguration={"LocationConstraint": REGION})
    yield bucket
    bucket.objects.delete()
    bucket.delete()


@pytest.fixture
def storage(bucket) -> Iterator[TenantS3Storage]:
    """The storage of the tenant test1, which is entered."""
    with in_tenant("test1"):
        yield storage_of(bucket.name)
    connection.set_schema_to_public()


def in_tenant(name: str) -> tenant_context:
    """Enter a tenant whose identity need not be asked of a database."""
    return tenant_context(Tenant(schema_name=name, identity=uuid.uuid5(uuid.NAMESPACE_DNS, name)))


@pytest.fixture
def default_in_s3(bucket, settings) -> None:
    """The default storage in the bucket."""
    settings.STORAGES = settings.STORAGES | {
        "default": settings.S3_STORAGE
        | {"OPTIONS": settings.S3_STORAGE["OPTIONS"] | {"bucket_name": bucket.name}}
    }


def storage_of(bucket: str, **options: Any) -> TenantS3Storage:
    """A storage as local settings make it."""
    defaults = {"region_name": REGION, "addressing_style": "path"}
    return TenantS3Storage(bucket_name=bucket, **defaults | options)


# --- tokens -------------------------------------------------------------------------------


@cache
def rsa_key(number: int) -> rsa.RSAPrivateKey:
    """Return a private key; each number has its own, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key_id: str, number: int) -> dict[str, Any]:
    """Return the public half of `rsa_key(number)` as Cognito publishes it."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(number).public_key(), as_dict=True)
    return {**public, "kid": key_id, "alg": "RS256", "use": "sig"}


@dataclass
class KeyServer:
    """Publishes keys, and counts how often it is asked."""

    url: str
    document: Any = field(default_factory=dict)
    status: int = 200
    asked: int = 0
    answers: threading.Event = field(default_factory=threading.Event)

    def publish(self, **numbers: int) -> None:
        """Publish these keys: id to number of `rsa_key`."""
        self.document = {"keys": [jwk(key_id, number) for key_id, number in numbers.items()]}


@pytest.fixture
def key_server(monkeypatch) -> Iterator[KeyServer]:
    """A Cognito that only publishes keys, `first` to begin with; it is the emulator in force."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked += 1
            server.answers.wait(30)
            content = json.dumps(server.document).encode()
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = KeyServer(f"http://127.0.0.1:{http.server_port}")
        server.publish(first=1)
        server.answers.set()
        as_emulated(monkeypatch, server.url)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.answers.set()
        http.shutdown()
        thread.join()


POOL, CLIENT = f"{REGION}_Ab1Cd2Ef3", "7lhlkkfbfb4q5kpp90urffao"
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}"

MakeToken = Callable[..., str]


@pytest.fixture
def pool(key_server) -> UserPool:
    """A pool whose keys have not been fetched yet."""
    return UserPool(POOL, CLIENT)


def make_token(
    key: int = 1, key_id: str = "first", without: tuple[str, ...] = (), **changes: Any
) -> str:
    """Return an id token as Cognito makes it, with changes of its claims."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "11111111-2222-3333-4444-555555555555",
        "token_use": "id",
        "iat": now,
        "auth_time": now,
        "exp": now + 3600,
        "email": "cleo@example.com",
        "email_verified": True,
        "custom:tenant": "test1",
        **changes,
    }
    for name in without:
        del claims[name]
    return jwt.encode(claims, rsa_key(key), "RS256", headers={"kid": key_id})


def make_access_token(**changes: Any) -> str:
    changes = {"token_use": "access", "client_id": CLIENT, **changes}
    return make_token(without=("aud", "email", "email_verified"), **changes)


@pytest.fixture
def accepting_cognito(settings, monkeypatch) -> Iterator[None]:
    """Accept tokens of the pool at the profile's address, as API_TOKENS=local,cognito does."""
    settings.COGNITO_USER_POOL_ID = settings.COGNITO_USER_POOL_ID or POOL
    settings.COGNITO_APP_CLIENT_ID = settings.COGNITO_APP_CLIENT_ID or CLIENT
    classes = [import_string(path) for path in AUTHENTICATION_CLASSES.values()]
    monkeypatch.setattr(ProfileView, "authentication_classes", classes)
    user_pool.cache_clear()
    yield
    user_pool.cache_clear()


# --- a pool of moto -----------------------------------------------------------------------


@dataclass(frozen=True)
class MotoPool:
    """A pool of the emulator, one of its clients, and how to log in."""

    id: str
    client: str

    def log_in(self, email: str) -> dict[str, str]:
        """Return the tokens: IdToken, AccessToken, RefreshToken."""
        answer = patient_client("cognito-idp").initiate_auth(
            ClientId=self.client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
        )
        return answer["AuthenticationResult"]

    def add_user(self, email: str, tenant: str, *groups: str) -> None:
        """Make an account with a verified address."""
        cognito = patient_client("cognito-idp")
        attributes = {"email": email, "email_verified": "true", "custom:tenant": tenant}
        cognito.admin_create_user(
            UserPoolId=self.id,
            Username=email,
            UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()],
            MessageAction="SUPPRESS",
        )
        cognito.admin_set_user_password(
            UserPoolId=self.id, Username=email, Password=PASSWORD, Permanent=True
        )
        for group in groups:
            cognito.admin_add_user_to_group(UserPoolId=self.id, Username=email, GroupName=group)


def make_moto_pool(name: str) -> MotoPool:
    cognito = patient_client("cognito-idp")
    pool = cognito.create_user_pool(
        PoolName=name,
        UsernameAttributes=["email"],
        Schema=[{"Name": "tenant", "AttributeDataType": "String", "Mutable": True}],
    )["UserPool"]["Id"]
    cognito.create_group(UserPoolId=pool, GroupName="packers")
    made = MotoPool(pool, add_moto_client(pool))
    made.add_user("ann@example.com", "test1", "packers")
    made.add_user("bob@example.com", "test2")
    return made


def add_moto_client(pool: str) -> str:
    made = patient_client("cognito-idp").create_user_pool_client(
        UserPoolId=pool,
        ClientName="web",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        ReadAttributes=["email", "email_verified", "custom:tenant"],
    )
    return made["UserPoolClient"]["ClientId"]


@pytest.fixture
def moto_pool(emulator, settings) -> MotoPool:
    """A pool with Ann of test1, who is a packer, and Bob of test2; the one that is accepted."""
    made = _moto_pool(emulator)
    settings.COGNITO_USER_POOL_ID, settings.COGNITO_APP_CLIENT_ID = made.id, made.client
    return made


@cache
def _moto_pool(url: str) -> MotoPool:
    return make_moto_pool("first")
