"""Readiness: does the bucket of uploaded files answer?"""

from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError
from django.conf import settings

from cloud.limits import PROBE


def probe_files() -> None:
    """Return when the bucket answers.

    Raises:
        Exception: with the fault.
    """
    bucket = settings.AWS_STORAGE_BUCKET_NAME
    try:
        _client().head_bucket(Bucket=bucket)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status != 404:
            raise
        # An emulator forgets it whenever it stops.
        raise RuntimeError(f"there is no bucket {bucket}; locally, make it: ./dev up") from error


@cache
def _client() -> Any:
    return boto3.client("s3", region_name=settings.AWS_DEFAULT_REGION, config=PROBE)
