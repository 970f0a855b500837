"""Settings of the backend's tests: real PostgreSQL and Redis, quick passwords."""

import os

from celery.schedules import crontab

from development import remedies, test_runs

test_runs.use_stack()  # before base settings read the environment
os.environ["FORWARDED_HOST"] = "name-8000.app.github.dev"

from core.settings.base import *  # noqa: E402, F403
from core.settings.base import (  # noqa: E402
    CACHES,
    CELERY_BEAT_SCHEDULE,
    CELERY_BROKER_URL,
    CELERY_RESULT_BACKEND,
    DATABASES,
    INSTALLED_APPS,
    PRODUCT_APPS,
    SHARED_APPS,
    STORAGES,
    TENANT_APPS,
    TRACES_EXCLUDED,
)

# The cheapest hasher: tests make many accounts and protect none.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Pages are rendered without collecting static files first.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# Files are always on disk; the tests of S3 set their own storage.
AWS_STORAGE_BUCKET_NAME = None
STORAGES["default"] = {"BACKEND": "tenants.storage.TenantFileSystemStorage"}

# Runs that go on at the same time have a database each, and databases of Redis.
TEST_RUN = test_runs.claim(DATABASES["default"])
_name = f"test_{DATABASES['default']['NAME']}"
DATABASES["default"]["TEST"] = {"NAME": _name if TEST_RUN == 1 else f"{_name}_{TEST_RUN}"}
_cache, _broker, _results = test_runs.REDIS_DATABASES[TEST_RUN]
CACHES["default"]["LOCATION"] = test_runs.redis_url(CACHES["default"]["LOCATION"], _cache)
CELERY_BROKER_URL = test_runs.redis_url(CELERY_BROKER_URL, _broker)
CELERY_RESULT_BACKEND = test_runs.redis_url(CELERY_RESULT_BACKEND, _results)

# The processes of one run (pytest -n) share a database of Redis.
CACHES["default"]["KEY_PREFIX"] = os.environ.get("PYTEST_XDIST_WORKER", "")

# Tests have two tenants, so that those of isolation run for a product with one, too.
SINGLE_TENANT = None

STACK_NAME = ""

TRACED = True  # as in local settings
TRACES_EXCLUDED += ["/workbench/"]

# As in local settings.
REMEDIES = remedies.REMEDIES
SHARED_APPS += ["workbench"]
INSTALLED_APPS += ["workbench"]
# sample: begin
SHARED_APPS += ["demo"]
INSTALLED_APPS += ["demo"]
# sample: end
# An application that is there whatever the product is; ./dev startapp copies it.
for apps in (PRODUCT_APPS, TENANT_APPS, INSTALLED_APPS):
    apps.append("development.notes")
CELERY_BEAT_SCHEDULE["notes.count_missing_words"] = {"schedule": crontab(minute="*/30")}
SHARED_APPS.insert(0, "development")
INSTALLED_APPS.insert(0, "development")
