from django.apps import AppConfig


class CloudConfig(AppConfig):
    name = "cloud"

    def ready(self) -> None:
        from cloud import checks  # noqa: F401  registers itself
