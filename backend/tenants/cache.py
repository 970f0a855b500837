"""Where caches keep a tenant's entries apart from those of every other, in Redis and in Django."""

from collections import UserDict
from contextvars import ContextVar
from typing import Any

from django.db import connection

from tenants.postgresql.base import current_tenant

# The tenant that this context was last asked in, and what is cached of it, by database.
_content_types: ContextVar[tuple[Any, dict[str, Any]]] = ContextVar("content_types")


def make_key(key: str, key_prefix: str, version: int) -> str:
    """Return the key of an entry in the cache; KEY_FUNCTION of the settings.

    The name makes a dropped tenant's keys findable, the identity keeps them from the next
    tenant of that name.
    """
    tenant = f"{connection.schema_name}:{connection.tenant_identity}"
    return f"{tenant}:{key_prefix}:{version}:{key}"


class ContentTypeCache(UserDict):
    """The cache of Django's ContentTypeManager, one for each context and its tenant.

    Django has one for the process, but the ids differ between tenants: a thread would use ids
    that another thread has just cached for another tenant.
    """

    @property
    def data(self) -> dict[str, Any]:
        tenant = current_tenant.get()
        cached = _content_types.get(None)
        if cached is None or cached[0] is not tenant:
            cached = (tenant, {})
            _content_types.set(cached)
        return cached[1]

    @data.setter
    def data(self, _empty: dict[str, Any]) -> None:
        """Ignore what UserDict begins with."""

    def clear(self) -> None:
        """Forget all at once; each request does this twice, as django-tenants enters and leaves."""
        self.data.clear()
