"""Settings of a developer's machine: as production, but talkative and reachable."""

import re
import sys

from django.http import HttpRequest

from core.settings.base import *  # noqa: F403
from core.settings.base import (
    CACHES,
    EMAIL_BACKEND,
    INSTALLED_APPS,
    MIDDLEWARE,
    SHARED_APPS,
    STACK_NAME,
    STORAGES,
    TEMPLATES,
    TENANT_FREE_COMMANDS,
    TENANT_FREE_PATHS,
    TRACES_EXCLUDED,
)
from development import breakpoints
from development.remedies import REMEDIES  # noqa: F401

DEBUG = True
breakpoints.install()

# Browsers send the cookies of a host to all its ports: without names of its own, one stack would
# log out another.
if STACK_NAME:
    SESSION_COOKIE_NAME = f"sessionid-{STACK_NAME}"
    CSRF_COOKIE_NAME = f"csrftoken-{STACK_NAME}"
    TENANT_COOKIE_NAME = f"tenant-{STACK_NAME}"

# Before staticfiles: its runserver replaces the one there.
SHARED_APPS.insert(0, "development")
INSTALLED_APPS.insert(0, "development")
TENANT_FREE_COMMANDS += ["emails", "routes", "sqlmask"]

# sample: begin
# `./dev manage seed_demo`
SHARED_APPS += ["demo"]
INSTALLED_APPS += ["demo"]

# sample: end
# proof: begin
# `./dev bench`
SHARED_APPS += ["benchmarks"]
INSTALLED_APPS += ["benchmarks"]
TENANT_FREE_COMMANDS += [
    "bench_ablation",
    "bench_api",
    "bench_cloud",
    "bench_growth",
    "bench_profile",
    "bench_tenancy",
]

# proof: end
# The page at / that shows what runs here: requests, tasks, e-mails, tenants.
SHARED_APPS += ["workbench"]
INSTALLED_APPS += ["workbench"]
ROOT_URLCONF = "workbench.urls"
DEFAULT_EXCEPTION_REPORTER = "workbench.error_pages.Reporter"
TENANT_FREE_COMMANDS += ["trace"]
TRACED = True  # its last traces are kept in Redis
TRACES_EXCLUDED += ["/workbench/", "/__debug__/", "/$"]
TENANT_FREE_PATHS += [r"/$", "/workbench/"]  # it shows what is down, also the database
if EMAIL_BACKEND == "django.core.mail.backends.console.EmailBackend":
    EMAIL_BACKEND = "workbench.mail.EmailBackend"

# Under Gunicorn Django would cache templates even here; an edit is to show at once.
TEMPLATES[0]["APP_DIRS"] = False
TEMPLATES[0]["OPTIONS"]["loaders"] = [
    "django.template.loaders.filesystem.Loader",
    "django.template.loaders.app_directories.Loader",
]

# Gunicorn serves static files from where they are written, without collectstatic.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True

# https://django-debug-toolbar.readthedocs.io/en/stable/installation.html
SHARED_APPS += ["debug_toolbar"]
INSTALLED_APPS += ["debug_toolbar"]
MIDDLEWARE.insert(
    MIDDLEWARE.index("tenants.middleware.TenantMiddleware"),
    "debug_toolbar.middleware.DebugToolbarMiddleware",
)
DEBUG_TOOLBAR_CONFIG = {
    "SHOW_TOOLBAR_CALLBACK": "core.settings.local.show_toolbar",
    "SHOW_COLLAPSED": True,  # open, it covers a quarter of the page
    # What a page was measured by is asked for later, maybe of another process of Gunicorn.
    "TOOLBAR_STORE_CLASS": "debug_toolbar.store.CacheStore",
    "CACHE_BACKEND": "debug_toolbar",
}
# Without the schema in its keys: the toolbar writes outside of the tenant that it is asked in.
CACHES["debug_toolbar"] = {
    name: value for name, value in CACHES["default"].items() if name != "KEY_FUNCTION"
}

# At each start the toolbar tries to import this adapter, and then Django runs `ldconfig` and a
# compiler for each of twelve names of GDAL. With None the import fails at once:
# https://docs.python.org/3/reference/import.html#the-module-cache
if "django.contrib.gis" not in INSTALLED_APPS:
    sys.modules["django.contrib.gis.db.backends.postgis.adapter"] = None  # type: ignore[assignment]


def show_toolbar(request: HttpRequest) -> bool:
    """Measure pages only: a client of the API should not pay for what it cannot see.

    The workbench shows measurements itself.
    """
    if request.path.startswith("/__debug__/"):  # the toolbar's own, which asks for JSON
        return DEBUG
    page = "text/html" in request.headers.get("Accept", "")
    return DEBUG and page and not re.match(r"/$|/workbench/", request.path)
