"""Settings of the backend's tests: real PostgreSQL and Redis, quick passwords."""

import os

from core.settings.base import *  # noqa: F403
from core.settings.base import CACHES, INSTALLED_APPS, SHARED_APPS, STORAGES

# The cheapest hasher: tests make many accounts and protect none.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Pages are rendered without collecting static files first.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# Files are on disk, whatever the environment names; the tests of S3 bring their own.
AWS_STORAGE_BUCKET_NAME = None
STORAGES["default"] = {"BACKEND": "tenants.storage.TenantFileSystemStorage"}

# Test processes that run side by side share one Redis.
CACHES["default"]["KEY_PREFIX"] = os.environ.get("PYTEST_XDIST_WORKER", "")

# As in local settings.
SHARED_APPS += ["demo", "workbench"]
INSTALLED_APPS += ["demo", "workbench"]
