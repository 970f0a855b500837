"""Settings from SSM Parameter Store: `core.env` asks here when SSM_PARAMETER_PATH is set.

On ECS a task definition names its parameters and nothing is asked. Elsewhere the path
/homeport/local has one parameter for each variable, e.g.
/homeport/local/SECRET_KEY.
"""

from __future__ import annotations

import gc
import os

from cloud.clients import client, endpoint


def fetch(path: str) -> dict[str, str]:
    """Return the parameters directly under a path, decrypted: last part of the name to value.

    Raises:
        LookupError: when there is none; the text names path, region and remedy.
        OSError: when the store does not answer or refuses; the text names the remedy.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = _read(path)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise OSError(f"cannot be read: {_one_line(error)}\n      {_remedy(error)}") from error
    if not found:
        raise LookupError(
            f"there is no parameter under {path} in {os.environ.get('AWS_DEFAULT_REGION')}\n"
            f"      {_remedy_of_nothing()}"
        )
    gc.collect()  # the client, 12 MB, whose objects refer to each other
    return found


def _read(path: str) -> dict[str, str]:
    # Ten to a page, and never more.
    pages = client("ssm").get_paginator("get_parameters_by_path")
    return {
        parameter["Name"].rpartition("/")[2]: parameter["Value"]
        for page in pages.paginate(Path=path, WithDecryption=True)
        for parameter in page["Parameters"]
    }


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _remedy(error: Exception) -> str:
    from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

    if isinstance(error, NoRegionError):
        return "e.g. AWS_DEFAULT_REGION=eu-west-1"
    if isinstance(error, ValueError):
        return "e.g. AWS_ENDPOINT_URL=http://localstack:4566"
    if isinstance(error, NoCredentialsError):
        if endpoint("SSM"):
            return "e.g. AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test, as for any emulator"
        return "give the task a role that may call ssm:GetParametersByPath"
    if isinstance(error, ClientError):
        return "allow ssm:GetParametersByPath, and kms:Decrypt for its key, to this role"
    if endpoint("SSM"):
        return "start the emulator: ./dev up; if it does not answer: ./dev status"
    return "allow connections to SSM (NAT gateway or VPC endpoint), or unset SSM_PARAMETER_PATH"


def _remedy_of_nothing() -> str:
    if endpoint("SSM"):
        return "seed the emulator again: ./dev restart localstack"
    return "correct SSM_PARAMETER_PATH or AWS_DEFAULT_REGION"
