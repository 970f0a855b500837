from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core import garbage, personal_data, tracing  # noqa: F401  one registers its check

        tracing.instrument()
        garbage.look_at_what_is_new()


class AdminConfig(admin_apps.AdminConfig):
    """Django's admin, with the site of core.admin."""

    default = False  # of core's own configurations the other one is meant by "core"
    default_site = "core.admin.Site"
