from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        from django.contrib.contenttypes.models import ContentType

        from tenants import checks, context, figures, health  # noqa: F401  connect themselves
        from tenants.cache import ContentTypeCache

        ContentType.objects._cache = ContentTypeCache()
