"""Who sends a request: the bearer of a token of this site, or of the Cognito user pool.

https://www.django-rest-framework.org/api-guide/authentication/#custom-authentication
"""

from __future__ import annotations

import structlog
from django.conf import settings
from django.db import connection
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import Token

from cloud.cognito import (
    Identity,
    InvalidToken,
    KeysUnavailable,
    UserPool,
    issuer_claimed,
    user_pool,
)
from core.errors.problem_details import Unavailable
from core.tenancy import in_a_tenant
from users.models import User
from users.services import NotLinked, account_of, log_in_of

log = structlog.get_logger(__name__)


class SignedInRequest(Request):
    """A request of a signed-in user, as the default permission ensures; for annotations only."""

    user: User


class LocalAuthentication(JWTAuthentication):
    """Accepts a token of this site while its log-in lasts. `Bearer` may be in either case."""

    def get_header(self, request: Request) -> bytes | None:
        header = super().get_header(request)
        if header and header[:7].lower() == b"bearer ":
            return b"Bearer " + header[7:]
        return header

    def get_user(self, validated_token: Token) -> User:
        log_in = log_in_of(validated_token)
        if log_in is None or not log_in.user.is_active:
            raise AuthenticationFailed("The token's log-in has ended; log in again.")
        return log_in.user


class CognitoAuthentication(BaseAuthentication):
    """Accepts `Authorization: Bearer TOKEN` of the pool, at the tenant that the token names.

    A token that does not claim to be of this pool is left to the next class. The claim only
    chooses who judges the token.
    """

    def authenticate(self, request: Request) -> tuple[User, Identity] | None:
        token = _bearer_token(request)
        pool = user_pool(settings.COGNITO_USER_POOL_ID, settings.COGNITO_APP_CLIENT_ID)
        if issuer_claimed(token) != pool.issuer:
            return None
        identity = _verified(pool, token)
        if not in_a_tenant() or identity.tenant not in _names_of_this_tenant():
            raise AuthenticationFailed("The token is not one of this tenant.")
        try:
            user = account_of(identity)
        except NotLinked as error:
            raise AuthenticationFailed(str(error)) from error
        if not user.is_active:
            raise AuthenticationFailed("The account is not active.")
        return user, identity

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def _names_of_this_tenant() -> set[str]:
    """Return what may name this tenant in a token.

    Its identity, because a name may be given again after a drop; on a developer's machine the
    name as well, because the emulator is filled before there are tenants.
    """
    names = {connection.tenant_identity}
    return names | {connection.schema_name} if settings.TENANT_HEADER else names


def _bearer_token(request: Request) -> str:
    """Return the token of the header, or an empty string; what is no text is no token."""
    kind, _space, token = get_authorization_header(request).partition(b" ")
    is_token = kind.lower() == b"bearer" and token.isascii()
    return token.strip().decode("ascii") if is_token else ""


def _verified(pool: UserPool, token: str) -> Identity:
    try:
        return pool.verify(token)
    except InvalidToken as error:
        log.info("token refused", reason=str(error))
        raise AuthenticationFailed(f"The token is not valid: {error}.") from error
    except KeysUnavailable as error:
        # The log has the remedy, once for each attempt to fetch the keys.
        raise Unavailable("The token cannot be verified for now. Try again.") from error
