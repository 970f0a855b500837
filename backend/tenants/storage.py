"""Where a tenant's files are: under its own name and identity, which no path can leave."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from core.tenancy import file_prefix


class TenantFileSystemStorage(FileSystemStorage):
    """Keeps files in MEDIA_ROOT/SCHEMA/IDENTITY, of the tenant in which a method is called.

    django-tenants has one too, whose directory stays that of the settings first seen.
    """

    # Properties, because Django's own are computed once for a process.

    @property
    def base_location(self) -> str:
        root = self._value_or_setting(self._location, settings.MEDIA_ROOT)
        return str(Path(root, file_prefix()))

    @property
    def location(self) -> str:
        return os.path.abspath(self.base_location)  # noqa: PTH100  Django compares text

    @property
    def base_url(self) -> str:
        url = self._value_or_setting(self._base_url, settings.MEDIA_URL)
        return f"{url.rstrip('/')}/{file_prefix()}/"

    def delete_all(self) -> None:
        """Delete every file of the tenant.

        Raises:
            OSError: when that cannot be done; some may then be gone.
        """
        with suppress(FileNotFoundError):  # nothing was ever uploaded
            shutil.rmtree(self.location)
