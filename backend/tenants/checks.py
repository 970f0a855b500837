"""What settings of another project would undo here: found by `manage.py check` and each release.

A project that moves in brings settings with it. Each of these, pasted over the one here, would mix
tenants or leave tables unmade, and would show only at run time.
https://docs.djangoproject.com/en/5.2/ref/checks/
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import models as auth
from django.core.checks import Error, register
from django_tenants.routers import TenantSyncRouter

ENGINE = "tenants.postgresql"
KEY_FUNCTION = "tenants.cache.make_key"
ROUTER = "django_tenants.routers.TenantSyncRouter"
TENANT = "tenants.middleware.TenantMiddleware"
DJANGOS_USER = "auth.User"
SESSIONS = "django.contrib.sessions"


@register
def settings_keep_tenants_apart(app_configs: Sequence | None, **kwargs: Any) -> list[Error]:
    """Compare what the isolation of tenants rests on with the settings in force."""
    return [*_database(), *_requests(), *_applications()]


@register
def nothing_uses_the_user_of_django(app_configs: Sequence | None, **kwargs: Any) -> list[Error]:
    """Find modules that import auth.User, which has no table here and no manager.

    Django itself finds relations to it: fields.E301.
    """
    if settings.AUTH_USER_MODEL == DJANGOS_USER:
        return []
    here = f"{settings.BASE_DIR}/"
    found = [
        name
        for name, module in sorted(sys.modules.items())
        if (getattr(module, "__file__", None) or "").startswith(here)
        and any(value is auth.User for value in vars(module).values())
    ]
    return [
        Error(
            f"{name} imports django.contrib.auth.models.User, which {settings.AUTH_USER_MODEL}"
            " replaces.",
            hint="Call get_user_model(); in relations, refer to settings.AUTH_USER_MODEL.",
            id="tenants.E008",
        )
        for name in found
    ]


def _database() -> Iterator[Error]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine != ENGINE:
        yield Error(
            f"DATABASES['default'] has the engine {engine}, which has no tenants.",
            hint=f"Keep the one of core/settings/base.py, {ENGINE}, and set DATABASE_URL.",
            id="tenants.E001",
        )
    if ROUTER not in settings.DATABASE_ROUTERS:
        yield Error(
            "DATABASE_ROUTERS does not create each table where its application is listed.",
            hint=f"Add {ROUTER!r}.",
            id="tenants.E002",
        )


def _requests() -> Iterator[Error]:
    order = list(settings.MIDDLEWARE)
    later = [name for name in order if name.startswith(("django.contrib.", "allauth."))]
    if TENANT not in order or any(order.index(name) < order.index(TENANT) for name in later):
        yield Error(
            "MIDDLEWARE reads sessions and accounts before it finds the tenant, or finds none.",
            hint=f"Keep the list of core/settings/base.py, and add yours after {TENANT!r}.",
            id="tenants.E003",
        )
    if settings.CACHES["default"].get("KEY_FUNCTION") != KEY_FUNCTION:
        yield Error(
            "CACHES['default'] gives one tenant the entries and sessions of another.",
            hint=f"Add 'KEY_FUNCTION': {KEY_FUNCTION!r}.",
            id="tenants.E004",
        )
    in_database = settings.SESSION_ENGINE.rpartition(".")[2] in ("db", "cached_db")
    if in_database and not {SESSIONS} <= {*settings.TENANT_APPS} & {*settings.SHARED_APPS}:
        yield Error(
            f"SESSION_ENGINE is {settings.SESSION_ENGINE}, and its table is not everywhere.",
            hint=f"Remove SESSION_ENGINE, or add {SESSIONS!r} to ACCOUNT_APPS.",
            id="tenants.E005",
        )


def _applications() -> Iterator[Error]:
    listed, in_list = {*settings.SHARED_APPS, *settings.TENANT_APPS}, TenantSyncRouter().app_in_list
    for config in apps.get_app_configs():
        if not in_list(config.label, listed) and any(
            model._meta.managed for model in config.get_models()
        ):
            yield Error(
                f"{config.name} is in INSTALLED_APPS alone, so its tables are made nowhere.",
                hint="List it in PRODUCT_APPS, TENANT_APPS or SHARED_APPS.",
                obj=config.name,
                id="tenants.E006",
            )
    if settings.AUTH_USER_MODEL == DJANGOS_USER:
        yield Error(
            "AUTH_USER_MODEL is Django's own, for which there are no tokens and no operators.",
            hint="Keep users.User, and add the fields that you need to it.",
            id="tenants.E007",
        )
