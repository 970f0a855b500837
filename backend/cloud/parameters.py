"""Settings from SSM Parameter Store: `core.env` asks here when SSM_PARAMETER_PATH is set.

On ECS a task definition names its parameters and nothing is asked. Elsewhere the path
/homeport/local has one parameter for each variable, e.g.
/homeport/local/SECRET_KEY.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import time
from urllib.parse import urlsplit

from cloud.clients import client, endpoint

# How long a start of LocalStack may take on a busy machine, in seconds.
PATIENCE = 120
# Without containers ./dev starts the emulator first.
THIS_MACHINE = ("127.0.0.1", "localhost")


def wait(seconds: float = PATIENCE) -> None:
    """Return when LocalStack is filled, or after `seconds`; at once for every other store.

    Its container starts beside those that read it, and it has only some of its parameters until
    its hooks have run. Whatever is wrong then is told by `fetch`.
    """
    url = endpoint("SSM")
    if not url or _is_settled(url):
        return
    print(f"waiting until {url} has its parameters", file=sys.stderr)
    until = time.monotonic() + seconds
    while time.monotonic() < until and not _is_settled(url):
        time.sleep(0.1)


def _is_settled(url: str) -> bool:
    """Return whether waiting changes nothing: LocalStack is filled, or this is none, or is down."""
    try:
        if urlsplit(url).hostname in THIS_MACHINE:
            return True
    except ValueError:  # no URL
        return True
    # Imported when needed: it costs a start time.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(f"{url}/_localstack/init/ready", timeout=3) as answer:  # noqa: S310
            return bool(json.load(answer)["completed"])
    except HTTPError as answer:
        answer.close()
        return True  # another emulator
    except (HTTPException, ValueError, LookupError):
        return True  # no emulator at all, or no URL
    except OSError as error:
        # It does not listen yet, unless its container does not run, which has no name then.
        return isinstance(getattr(error, "reason", None), socket.gaierror)


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
