"""Tokens of a Cognito user pool, verified by the keys that the pool publishes.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import jwt
import structlog

from cloud.clients import client, endpoint
from core.env import environment

ALGORITHM = "RS256"  # the one that Cognito signs with
LEEWAY = 30  # seconds that the clocks of AWS and of this machine may differ
LONGEST = 8192  # characters; Gunicorn reads no longer header either
TENANT = "custom:tenant"  # the pool's attribute that names a person's tenant

log = structlog.get_logger(__name__)


class InvalidToken(Exception):
    """The token proves nothing here; the text says why, and holds nothing of the token."""


class KeysUnavailable(Exception):
    """The pool's keys cannot be had, so that nothing can be said about the token."""


@dataclass(frozen=True)
class Identity:
    """Whom a verified token speaks for.

    Attributes:
        subject: the person's id in the pool, for ever.
        tenant: identity of the tenant the person belongs to; empty if the token names none.
        groups: names of the pool's groups the person is in.
        email: empty unless the pool has verified it; access tokens carry none.
        first_name, last_name: empty if the token carries none.
        issued_at: seconds since the epoch.
    """

    subject: str
    tenant: str
    groups: frozenset[str]
    email: str
    first_name: str
    last_name: str
    issued_at: int


class UserPool:
    """A user pool, and one of its app clients, whose tokens are accepted.

    Args:
        pool: the pool's id, which begins with its region: "eu-west-1_Ab1Cd2Ef3".
        client: the app client's id.
    """

    def __init__(self, pool: str, client: str) -> None:
        region = pool.partition("_")[0]
        aws = f"https://cognito-idp.{region}.amazonaws.com"
        # Emulators issue in the name of AWS, too.
        self.issuer = f"{aws}/{pool}"
        here = endpoint("COGNITO_IDENTITY_PROVIDER") or aws
        self.keys = PublishedKeys(f"{here}/{pool}/.well-known/jwks.json")
        self._client = client

    def verify(self, token: str) -> Identity:
        """Return whom an id token or an access token speaks for.

        Raises:
            InvalidToken: when it is not one of this pool for this client, or not valid now.
            KeysUnavailable: when the pool's keys cannot be had.
        """
        if len(token) > LONGEST:
            raise InvalidToken(f"it is longer than {LONGEST} characters")
        try:
            header = jwt.get_unverified_header(token)
            # Before any key is looked for: "none" needs no key, and HS256 would take a public one.
            if header.get("alg") != ALGORITHM:
                raise InvalidToken(f"it is not signed with {ALGORITHM}")
            claims = jwt.decode(
                token,
                self.keys.find(header.get("kid")),
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "iss", "sub", "token_use"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("it has expired") from None
        except jwt.ImmatureSignatureError:
            raise InvalidToken("it is not valid yet; does this machine's clock go right?") from None
        # Brackets in brackets, a thousand deep, end the parser with a RecursionError.
        except (jwt.InvalidTokenError, RecursionError) as error:
            raise InvalidToken(str(error) or "it is malformed") from None
        self._check_purpose(claims)
        return _identity(claims)

    def _check_purpose(self, claims: Mapping[str, Any]) -> None:
        """Id tokens name the client as `aud`, access tokens as `client_id`."""
        names_client = {"id": "aud", "access": "client_id"}.get(str(claims["token_use"]))
        if names_client is None:
            raise InvalidToken("it is neither an id token nor an access token")
        if claims.get(names_client) != self._client:
            raise InvalidToken("it was made for another client")


@cache
def user_pool(pool: str, client: str) -> UserPool:
    """Return the pool, one for this process, so that its keys are fetched once."""
    return UserPool(pool, client)


def issuer_claimed(token: str) -> str:
    """Return who a token says has issued it, which proves nothing; empty if it says nothing."""
    if len(token) > LONGEST:
        return ""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError):
        return ""
    return str(claims.get("iss", ""))


def log_in(email: str, password: str, kind: str = "IdToken") -> str:
    """Log in to the pool of the contract by password; return a token, to try the API with.

    Args:
        kind: "IdToken", "AccessToken" or "RefreshToken".

    Raises:
        LookupError: when no app client is set, or the pool asks for more than a password.
        botocore.exceptions.ClientError: when the pool refuses; its text says why.
    """
    app_client = environment()["COGNITO_APP_CLIENT_ID"]
    if not app_client:
        raise LookupError("COGNITO_APP_CLIENT_ID is not set: docs/cognito.md")
    answer = client("cognito-idp").initiate_auth(
        ClientId=app_client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )
    if "AuthenticationResult" not in answer:
        raise LookupError(f"the pool first asks for {answer.get('ChallengeName')}")
    return answer["AuthenticationResult"][kind]


def _identity(claims: Mapping[str, Any]) -> Identity:
    groups = claims.get("cognito:groups", [])
    if not isinstance(groups, list):
        raise InvalidToken("its groups are no list")
    # A pool says true, and emulators and some federated providers say "true".
    verified = claims.get("email_verified") in (True, "true")
    return Identity(
        subject=claims["sub"],
        tenant=_text(claims, TENANT),
        groups=frozenset(str(group) for group in groups),
        email=_text(claims, "email") if verified else "",
        first_name=_text(claims, "given_name"),
        last_name=_text(claims, "family_name"),
        issued_at=int(claims["iat"]),
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or "\0" in value:
        raise InvalidToken(f"its claim {name} is no text")
    return value


# --- published keys -----------------------------------------------------------------------
# https://www.rfc-editor.org/rfc/rfc7517#section-5

FETCH_TIMEOUT = 3.0  # seconds until the whole answer must be there
LARGEST_ANSWER = 64 * 1024  # bytes
FRESH = 3600  # seconds after which keys are fetched again, so that one taken back is noticed
USABLE = 24 * 3600  # seconds known keys are used while no new ones can be had
BETWEEN_FETCHES = 30  # seconds; tokens with invented key ids must not make us ask all the time
AFTER_A_FAILURE = 5  # seconds; nor must every request wait for a server that is down


class PublishedKeys:
    """The public keys at a URL, by id: fetched when first needed, when old, when one is new.

    Threads share one fetch; those that find their key among the known ones do not wait for it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = -float(USABLE)  # on the monotonic clock
        self._failed = False
        self._lock = threading.Lock()

    def find(self, key_id: object) -> jwt.PyJWK:
        """Return the key with this id.

        Raises:
            InvalidToken: when the pool has no such key.
            KeysUnavailable: when that cannot be found out.
        """
        if not isinstance(key_id, str):
            raise InvalidToken("it names no key")
        if key_id not in self._keys or self._age > FRESH:
            self._fetch_unless_just_tried(key_id)
        if key_id in self._keys and self._age <= USABLE:
            return self._keys[key_id]
        if self._failed:
            raise KeysUnavailable(f"no answer from {self.url}")
        raise InvalidToken("it is signed with an unknown key")

    @property
    def _age(self) -> float:
        return time.monotonic() - self._fetched

    def _fetch_unless_just_tried(self, key_id: str) -> None:
        known = key_id in self._keys
        if not self._lock.acquire(blocking=not known):
            return  # another thread is at it, and the known key is good enough
        try:
            pause = AFTER_A_FAILURE if self._failed else BETWEEN_FETCHES
            if time.monotonic() - self._tried >= pause:
                self._fetch()
        finally:
            self._lock.release()

    def _fetch(self) -> None:
        try:
            keys = _parse(_download(self.url))
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            self._failed = True
            log.error(
                "keys of the user pool not reached",
                url=self.url,
                error=f"{type(error).__name__}: {error}",
                remedy=_remedy(),
            )
        else:
            self._keys, self._fetched, self._failed = keys, time.monotonic(), False
        finally:
            self._tried = time.monotonic()


def _remedy() -> str:
    if endpoint("COGNITO_IDENTITY_PROVIDER"):
        return "./dev status, ./dev logs cognito"
    return "allow connections to Cognito: NAT gateway, security groups, name resolution"


def _download(url: str) -> bytes:
    """Return a small document, or raise OSError when it takes longer than FETCH_TIMEOUT."""
    deadline = time.monotonic() + FETCH_TIMEOUT
    content = b""
    try:
        response = urlopen(url, timeout=FETCH_TIMEOUT)  # noqa: S310  the contract's own URL
    except HTTPError as error:
        with error:  # which is an open answer
            raise
    with response:
        # The timeout of a socket starts again with each byte.
        while part := response.read1(LARGEST_ANSWER):
            content += part
            if len(content) > LARGEST_ANSWER:
                raise OSError(f"more than {LARGEST_ANSWER} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not complete within {FETCH_TIMEOUT} s")
    return content


def _parse(content: bytes) -> dict[str, jwt.PyJWK]:
    """Return the keys of a set that may verify signatures; others may be of any kind."""
    try:
        listed = json.loads(content)["keys"]
        usable = [
            key
            for key in listed
            if key.get("kty") == "RSA" and key.get("use", "sig") == "sig" and key.get("kid")
        ]
        keys = {key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM) for key in usable}
    except (KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ValueError(f"no set of keys: {error}") from None
    if not keys:
        raise ValueError("no set of keys: it is empty")
    return keys
