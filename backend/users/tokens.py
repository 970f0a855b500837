"""Tokens that are worth nothing outside the tenant that gave them.

User ids count from one in every tenant, and all tokens are signed with one key: without the
claim, a token for user 1 of one tenant would log in user 1 of every other.
"""

from typing import Any

from django.db import connection
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.exceptions import TokenError

CLAIM = "tenant"


class TenantClaim:
    """Writes the tenant into a new token, and demands it of one that is shown."""

    def __init__(self, token: Any = None, verify: bool = True) -> None:
        super().__init__(token, verify)
        if token is None:
            self[CLAIM] = connection.schema_name

    def verify(self) -> None:
        # First, so that another tenant's token is not looked up among this one's.
        if self.get(CLAIM) != connection.schema_name:
            raise TokenError("Token is invalid")
        super().verify()


class AccessToken(TenantClaim, tokens.AccessToken):
    """Sent with each request; a few minutes."""


class RefreshToken(TenantClaim, tokens.RefreshToken):
    """Exchanged for a new pair, once."""

    access_token_class = AccessToken
