"""Uploaded files in S3: under the tenant's own prefix, which no name can leave.

Two clients: one asks S3 where this process reaches it, the other signs addresses for the host
that a browser reaches. The host is a part of the signature, so it cannot be exchanged later.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar

import structlog
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3File, S3Storage
from storages.utils import clean_name

from cloud.limits import REQUEST
from core.errors.problem_details import Unavailable
from core.tenancy import file_prefix

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


def _answers(method: Callable[P, T]) -> Callable[P, T]:
    """Raise Unavailable, with the fault in the log, where S3 does not do what it is asked."""

    @wraps(method)
    def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (Boto3Error, BotoCoreError, ClientError) as error:
            log.error("file store failed", operation=method.__name__, error=str(error))
            raise Unavailable("The file store does not answer; try again later.") from error

    return ask


class TenantS3Storage(S3Storage):
    """Keeps files in SCHEMA/IDENTITY/ of a bucket, of the tenant in which a method is called.

    Settings, besides those of django-storages:
        public_endpoint_url: S3 as browsers reach it; None if that is no other address.

    Raises:
        Unavailable: from every method, where S3 does not do what it is asked.
        SuspiciousOperation: from every method, for a name outside the tenant's prefix.
    """

    client_config: Any  # botocore's, which has no types

    def get_default_settings(self) -> dict[str, Any]:
        return super().get_default_settings() | {
            "public_endpoint_url": None,
            # The older signature, still boto3's default here, is refused by newer regions.
            "signature_version": "s3v4",
            "file_overwrite": False,  # a second mug.png gets another name, as on disk
            "querystring_expire": 15 * 60,  # seconds; long enough for a page to be read
            "max_memory_size": 1024 * 1024,  # bytes; a larger file is read by way of the disk
        }

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.client_config = self.client_config.merge(REQUEST)

    @property
    def location(self) -> str:
        return file_prefix()

    @_answers
    def url(
        self,
        name: str,
        parameters: dict[str, str] | None = None,
        expire: int | None = None,
        http_method: str | None = None,
    ) -> str:
        """Return an address at which the file can be read for a while, without a log-in.

        Args:
            parameters: of S3's GetObject, such as ResponseContentDisposition.
            expire: seconds; `querystring_expire` if None.
        """
        wanted = {"Bucket": self.bucket_name, "Key": self._normalize_name(clean_name(name))}
        return self._signing_client.generate_presigned_url(
            "get_object",
            Params=(parameters or {}) | wanted,
            ExpiresIn=self.querystring_expire if expire is None else expire,
            HttpMethod=http_method,
        )

    @_answers
    def delete_all(self) -> None:
        """Delete every file of the tenant."""
        self.bucket.objects.filter(Prefix=f"{self.location}/").delete()

    @cached_property
    def _signing_client(self) -> Any:
        return self._create_session().client(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.public_endpoint_url,
            config=self.client_config,
            verify=self.verify,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {key: v for key, v in super().__getstate__().items() if key != "_signing_client"}

    # What S3 may fail at

    @_answers
    def _open(self, name: str, mode: str = "rb") -> S3File:
        file = super()._open(name, mode)
        if "r" in mode:
            file.file  # noqa: B018  read now: an answer that has begun cannot become an error
        return file

    _save = _answers(S3Storage._save)
    delete = _answers(S3Storage.delete)
    exists = _answers(S3Storage.exists)
    listdir = _answers(S3Storage.listdir)
    size = _answers(S3Storage.size)
    get_modified_time = _answers(S3Storage.get_modified_time)
