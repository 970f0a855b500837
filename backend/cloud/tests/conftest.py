"""Where the tests of this application find AWS: the emulator that is named, or a moto of their own.

The stack's tests run the same tests in a container of web, against LocalStack.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from django.db import connection
from django_tenants.utils import schema_context
from moto.server import ThreadedMotoServer

from cloud.storage import TenantS3Storage

REGION = "eu-west-1"


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The address of an emulated AWS."""
    if named := os.environ.get("AWS_ENDPOINT_URL"):
        yield named
        return
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(emulator, monkeypatch) -> str:
    """The environment of a local process: boto3 asks the emulator, with its keys."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return emulator


@pytest.fixture
def bucket(aws) -> Iterator[Any]:
    """An empty bucket."""
    bucket = boto3.resource("s3").Bucket(f"test-{uuid.uuid4().hex}")
    bucket.create(CreateBucketConfiguration={"LocationConstraint": REGION})
    yield bucket
    bucket.objects.delete()
    bucket.delete()


@pytest.fixture
def storage(bucket) -> Iterator[TenantS3Storage]:
    """The storage of the tenant test1, which is entered."""
    with schema_context("test1"):
        yield storage_of(bucket.name)
    connection.set_schema_to_public()


def storage_of(bucket: str, **options: Any) -> TenantS3Storage:
    """A storage as local settings make it."""
    defaults = {"region_name": REGION, "addressing_style": "path"}
    return TenantS3Storage(bucket_name=bucket, **defaults | options)
