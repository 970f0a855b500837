from django.apps import AppConfig
from django.conf import settings


class CloudConfig(AppConfig):
    name = "cloud"

    def ready(self) -> None:
        if settings.AWS_STORAGE_BUCKET_NAME:
            from cloud import health  # noqa: F401  registers its probe
