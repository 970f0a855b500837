"""Which AWS is spoken to: the emulators that AWS_ENDPOINT_URL* name, else the real one.

boto3 reads these variables itself. What is left to do here is to keep a process that speaks to
an emulator from finding anything else, and to give every client limits of time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.config import Config

# Where boto3 would look for credentials after the environment's own keys.
# https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
CREDENTIAL_CHAIN = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
)
CONFIGURATION_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG")


def client(service: str, limits: Config | None = None) -> BaseClient:
    """Return a client of a service ("ssm"), with these limits of time or those of a QUESTION.

    Raises:
        botocore.exceptions.NoRegionError: when AWS_DEFAULT_REGION is not set.
        ValueError: when an AWS_ENDPOINT_URL is no URL.
    """
    # Imported when needed, and without boto3 around it: both cost a start time.
    import botocore.session

    from cloud.descriptions import OneService
    from cloud.limits import QUESTION

    session = botocore.session.get_session()
    session.register_component("data_loader", OneService(service))
    return session.create_client(service, config=limits or QUESTION)


def endpoint(service: str = "") -> str:
    """Return the emulator's URL for a service ("COGNITO_IDENTITY_PROVIDER"), as boto3 finds it.

    Empty when the real AWS is meant.
    """
    if _ignores_endpoints():
        return ""
    own = os.environ.get(f"AWS_ENDPOINT_URL_{service}", "") if service else ""
    return (own or os.environ.get("AWS_ENDPOINT_URL", "")).rstrip("/")


def stay_at_home() -> None:
    """Let a process that speaks to an emulator use no credentials but its environment's keys.

    A developer's profile, a role of the machine or a metadata service could otherwise sign
    calls that were meant for the emulator.
    """
    named = any(name.startswith("AWS_ENDPOINT_URL") and os.environ[name] for name in os.environ)
    if not named or _ignores_endpoints():
        return
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ.update(dict.fromkeys(CONFIGURATION_FILES, os.devnull))
    for name in CREDENTIAL_CHAIN:
        os.environ.pop(name, None)


def _ignores_endpoints() -> bool:
    return os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
