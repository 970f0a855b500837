"""Readiness: does the bucket of uploaded files answer?"""

from functools import cache

from botocore.client import BaseClient
from botocore.exceptions import ClientError
from django.conf import settings

from cloud.clients import client, endpoint
from cloud.limits import PROBE


def probe_files() -> None:
    """Return when the bucket answers.

    Raises:
        Exception: with the fault.
    """
    bucket = settings.AWS_STORAGE_BUCKET_NAME
    try:
        s3().head_bucket(Bucket=bucket)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status != 404:
            raise
        remedy = "create it, or correct AWS_STORAGE_BUCKET_NAME"
        if endpoint("S3"):  # an emulator, which is seeded at each start
            remedy = "create it: ./dev restart localstack"
        raise RuntimeError(f"there is no bucket {bucket}; {remedy}") from error


@cache
def s3() -> BaseClient:
    """Return the client that probes use; making one takes 15 MB."""
    return client("s3", PROBE)
