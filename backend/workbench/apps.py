from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from core.env import environment


class WorkbenchConfig(AppConfig):
    name = "workbench"

    def ready(self) -> None:
        # It shows e-mails and requests of every tenant without a log-in.
        if environment().mode == "production":
            raise ImproperlyConfigured("the workbench is for a developer's machine only")
        from workbench import spans, worker  # noqa: F401  connects its signals

        # Tests keep what they look at.
        if settings.TRACED and environment().mode != "test":
            spans.keep()
