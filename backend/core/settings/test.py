"""Settings of the backend's tests: real PostgreSQL and Redis, quick passwords."""

from core.settings.base import *  # noqa: F403
from core.settings.base import STORAGES

# The cheapest hasher: tests make many accounts and protect none.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Pages are rendered without collecting static files first.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
