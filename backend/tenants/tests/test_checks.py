"""Settings and code of another project that would undo the isolation are named by checks."""

import sys
from types import ModuleType

import pytest
from django.conf import settings as now
from django.contrib.auth import models as auth

from tenants import checks
from users.models import User


def found() -> list[str]:
    every = [
        *checks.settings_keep_tenants_apart(None),
        *checks.nothing_uses_the_user_of_django(None),
    ]
    return [error.id for error in every]


def test_the_settings_here_have_no_findings():
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("DATABASES", {"default": {"ENGINE": "django.db.backends.sqlite3"}}, "tenants.E001"),
        ("DATABASE_ROUTERS", [], "tenants.E002"),
        ("MIDDLEWARE", ["django.contrib.auth.middleware.AuthenticationMiddleware"], "tenants.E003"),
        ("MIDDLEWARE", now.MIDDLEWARE[::-1], "tenants.E003"),
        ("CACHES", {"default": {"LOCATION": "redis://redis"}}, "tenants.E004"),
        ("SESSION_ENGINE", "django.contrib.sessions.backends.db", "tenants.E005"),
        ("TENANT_APPS", ["users"], "tenants.E006"),
        ("AUTH_USER_MODEL", "auth.User", "tenants.E007"),
    ],
)
def test_a_setting_of_another_project_is_found(monkeypatch, name, value, finding):
    # Not by the fixture `settings`: Django would follow a change of these.
    monkeypatch.setattr(now, name, value)
    assert finding in found()


def test_a_session_in_the_database_needs_its_table_everywhere(monkeypatch):
    monkeypatch.setattr(now, "SESSION_ENGINE", "django.contrib.sessions.backends.db")
    for apps in ("SHARED_APPS", "TENANT_APPS"):
        monkeypatch.setattr(now, apps, [*getattr(now, apps), checks.SESSIONS])
    assert found() == []


def test_a_module_that_imports_the_user_of_django_is_found(monkeypatch):
    module = ModuleType("polls.views")
    module.__file__ = f"{now.BASE_DIR}/polls/views.py"
    module.User = User
    monkeypatch.setitem(sys.modules, "polls.views", module)
    assert found() == []
    module.User = auth.User
    (error,) = checks.nothing_uses_the_user_of_django(None)
    assert (error.id, error.msg.split()[0]) == ("tenants.E008", "polls.views")
