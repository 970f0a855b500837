"""Settings of a developer's machine: as production, but talkative and reachable."""

from core.settings.base import *  # noqa: F403
from core.settings.base import INSTALLED_APPS, MIDDLEWARE, SHARED_APPS, STORAGES, TEMPLATES

DEBUG = True

# `./dev manage seed_demo`
SHARED_APPS += ["demo"]
INSTALLED_APPS += ["demo"]

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
}


def show_toolbar(request) -> bool:
    """Measure pages only: a client of the API should not pay for what it cannot see."""
    return DEBUG and "text/html" in request.headers.get("Accept", "")
