from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core import personal_data, tracing  # noqa: F401  the first registers its check

        tracing.instrument()


class AdminConfig(admin_apps.AdminConfig):
    """Django's admin, with the site of core.admin."""

    default = False  # of core's own configurations the other one is meant by "core"
    default_site = "core.admin.Site"
