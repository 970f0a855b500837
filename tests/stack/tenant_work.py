"""Work in a tenant that every product can do: an account, and a file of the default storage."""

from __future__ import annotations

from running_stack import Stack

ACCESS_TOKEN = """
from django_tenants.utils import schema_context
from users.models import User
from users.tokens import AccessToken
with schema_context("{tenant}"):
    user, _ = User.objects.get_or_create(email="ann@example.com")
    print(AccessToken.for_user(user))
"""
STORE = """
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django_tenants.utils import schema_context
with schema_context("{tenant}"):
    name = default_storage.save("kept.txt", ContentFile(b"{content}"))
    print(default_storage.open(name).read().decode())
"""
# A view that reads an account from the tenant's schema.
PROFILE = "/api/v1/auth/profile/"


def bearer(stack: Stack, tenant: str = "test1") -> dict[str, str]:
    """Return the header of requests of an account of this tenant."""
    token = stack.python(ACCESS_TOKEN.format(tenant=tenant)).splitlines()[-1]
    return {"Authorization": f"Bearer {token}"}


def store(stack: Stack, tenant: str = "test1", content: str = "hello") -> str:
    """Store a file; return its content, read again."""
    return stack.python(STORE.format(tenant=tenant, content=content)).splitlines()[-1]
