"""Tokens that are worth nothing outside the tenant that gave them.

All tokens are signed with SECRET_KEY. A token carries the identity of its tenant, and that of its
account (USER_ID_FIELD): names and ids can be given again, after a drop or when a sequence is set
back, and an old token must not be valid for the next user of them.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import (
    TokenBackendError,
    TokenBackendExpiredToken,
    TokenError,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.utils import datetime_from_epoch

from users.models import LogIn, User

CLAIM = "tenant"
LOG_IN = "log_in"  # the claim that holds the id of the LogIn


if TYPE_CHECKING:
    _Token = tokens.Token  # what it is mixed into
else:
    _Token = object


class Keys(TokenBackend):
    """Signs with SECRET_KEY, and also accepts what a key of SECRET_KEY_FALLBACKS has signed."""

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        try:
            return super().decode(token, verify)
        except TokenBackendExpiredToken:
            raise
        except TokenBackendError as refused:
            for key in settings.SECRET_KEY_FALLBACKS:
                with suppress(TokenBackendError):
                    return TokenBackend(self.algorithm, key, leeway=self.leeway).decode(token)
            raise refused


_KEYS = Keys(api_settings.ALGORITHM, api_settings.SIGNING_KEY, leeway=api_settings.LEEWAY)


class TenantClaim(_Token):
    """Writes the tenant into a new token, and demands it of one that is shown."""

    def get_token_backend(self) -> TokenBackend:
        return _KEYS

    def __init__(self, token: Any = None, verify: bool = True) -> None:
        super().__init__(token, verify)
        if token is None:
            self[CLAIM] = connection.tenant_identity

    def verify(self) -> None:
        # First, so that another tenant's token is not looked up among this one's.
        if self.get(CLAIM) != connection.tenant_identity:
            raise TokenError("Token is invalid")
        super().verify()


class AccessToken(TenantClaim, tokens.AccessToken):
    """Sent with each request; a few minutes, and no longer than its log-in lasts."""

    @classmethod
    def for_user(cls, user: User) -> "AccessToken":
        """Log a user in; return the access token of the pair."""
        return RefreshToken.for_user(user).access_token


class RefreshToken(TenantClaim, tokens.RefreshToken):
    """Exchanged for a new pair, once."""

    access_token_class = AccessToken

    @classmethod
    def for_user(cls, user: User) -> "RefreshToken":
        """Log a user in; return the first refresh token of the log-in."""
        token = super().for_user(user)
        log_in = LogIn.objects.create(
            user=user, refresh_token=token["jti"], expires_at=datetime_from_epoch(token["exp"])
        )
        token[LOG_IN] = str(log_in.pk)
        return token

    def renew(self) -> None:
        """Make this token the next one of its log-in."""
        self.set_jti()
        self.set_exp()
        self.set_iat()
