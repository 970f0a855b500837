"""How often one may try to log in or register.

https://www.django-rest-framework.org/api-guide/throttling/
"""

from __future__ import annotations

from hashlib import sha256
from ipaddress import ip_address, ip_network

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle
from rest_framework.views import APIView

from users.models import User

KNOWN_FOR = 30 * 24 * 3600  # seconds that a client counts as the owner's after a log-in


class ClientThrottle(SimpleRateThrottle):
    """Counts the attempts of one client, at any account."""

    scope = "client"

    def get_cache_key(self, request: Request, view: APIView | None) -> str:
        return self.cache_format % {"scope": self.scope, "ident": client_of(request)}


class AccountThrottle(SimpleRateThrottle):
    """Counts the attempts of one client at one account, whether the account exists or not.

    Args:
        field: the field of the request that holds the address.
    """

    scope = "account"

    def __init__(self, field: str = "email") -> None:
        super().__init__()
        self.field = field

    def get_cache_key(self, request: Request, view: APIView | None) -> str | None:
        account = account_of(request, self.field)
        if account is None:
            return None  # refused as not valid
        ident = f"{account}_{client_of(request)}"
        return self.cache_format % {"scope": self.scope, "ident": ident}


class StrangersThrottle(AccountThrottle):
    """Counts the attempts at one account of all clients from which its owner never logged in.

    Its owner's clients are exempt, or strangers could lock the owner out.
    """

    scope = "strangers"

    def get_cache_key(self, request: Request, view: APIView | None) -> str | None:
        account = account_of(request, self.field)
        if account is None or self.cache.get(_known_key(account, request)):
            return None
        return self.cache_format % {"scope": self.scope, "ident": account}


class LogInThrottle(BaseThrottle):
    """Applies the three limits in turn.

    An attempt that one of them refuses does not count towards the next. So one client alone
    cannot use up what all strangers together may try at an account.

    Args:
        field: the field of the request that holds the address.
    """

    def __init__(self, field: str = "email") -> None:
        self.throttles = (ClientThrottle(), AccountThrottle(field), StrangersThrottle(field))
        self.refusing: SimpleRateThrottle | None = None

    def allow_request(self, request: Request, view: APIView | None) -> bool:
        refusing = (
            one
            for one in self.throttles
            if not one.allow_request(request, view)  # type: ignore[arg-type]  # no limit reads the view
        )
        self.refusing = next(refusing, None)
        return self.refusing is None

    def wait(self) -> float | None:
        """Return the seconds until the next attempt, after a refusal."""
        return self.refusing.wait() if self.refusing else None


def remember_client(request: Request, field: str = "email") -> None:
    """Note that the owner of an account has just logged in from this client."""
    account = account_of(request, field)
    if account is not None:
        StrangersThrottle.cache.set(_known_key(account, request), True, KNOWN_FOR)


def account_of(request: Request, field: str) -> str | None:
    """Return a digest of the address in a request; None if there is no address.

    A digest, because an address may be long and must not be readable in a cache.
    """
    email = request.data.get(field) if isinstance(request.data, dict) else None
    if not isinstance(email, str):
        return None
    return sha256(User.objects.normalize_email(email).encode(errors="replace")).hexdigest()


def client_of(request: Request) -> str:
    """Return the sender's IPv4 address, or its IPv6 network of 64 bits, which one line gets."""
    ident = BaseThrottle().get_ident(request)
    try:
        address = ip_address(ident)
    except ValueError:
        return ident
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else ident


def _known_key(account: str, request: Request) -> str:
    return f"known_{account}_{client_of(request)}"
