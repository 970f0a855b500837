from django.apps import AppConfig
from django.conf import settings


class CloudConfig(AppConfig):
    name = "cloud"

    def ready(self) -> None:
        from cloud import checks  # noqa: F401  registers itself

        if settings.AWS_STORAGE_BUCKET_NAME:
            from cloud.health import probe_files, s3
            from core.health import register

            # Most pages do without files.
            register("files", optional=True, prepare=s3)(probe_files)
