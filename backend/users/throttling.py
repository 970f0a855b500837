"""How often one may try to log in or register.

https://www.django-rest-framework.org/api-guide/throttling/
"""

from __future__ import annotations

from hashlib import sha256

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView


class AccountThrottle(SimpleRateThrottle):
    """Counts attempts at one account, from wherever they come; also one that does not exist."""

    scope = "account"
    field = "email"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        email = request.data.get(self.field) if isinstance(request.data, dict) else None
        if not isinstance(email, str):
            return None  # refused as not valid
        # A digest, because an address may be long, and is nobody's business in a cache.
        ident = sha256(email.strip().lower().encode(errors="replace")).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": ident}


class AdminAccountThrottle(AccountThrottle):
    """The same count, for the admin's form."""

    field = "username"


class ClientThrottle(SimpleRateThrottle):
    """Counts attempts of one client, at whatever accounts."""

    scope = "client"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}
