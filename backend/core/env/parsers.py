"""What turns the text of a variable into its value; ValueError says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import unquote

import environ


def text(value: str) -> str:
    return value


def boolean(value: str) -> bool:
    # django-environ reads any unknown word as False; a typo must not switch a guard off.
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    try:
        return words[value.strip().lower()]
    except KeyError:
        raise ValueError("is neither true nor false") from None


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("is not a whole number") from None
        if not minimum <= number <= maximum:
            raise ValueError(f"is not between {minimum} and {maximum}")
        return number

    return parse


def seconds_each(*names: str) -> Callable[[str], dict[str, int]]:
    """Read `name=seconds,...` in which each of these names stands once."""
    seconds = whole_number(0, 86400)

    def parse(value: str) -> dict[str, int]:
        pairs = [word.partition("=") for word in words(value)]
        if sorted(name.strip() for name, _, _ in pairs) != sorted(names):
            raise ValueError(f"does not give each of {', '.join(names)}, as in {names[0]}=5,...")
        return {name.strip(): seconds(number) for name, _, number in pairs}

    return parse


def optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Read an empty value as None."""
    return lambda value: parse(value) if value else None


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return value

    return parse


def matching(pattern: str, fault: str) -> Callable[[str], str]:
    """Read the text as it is, if all of it has this form."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(fault)
        return value

    return parse


def words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def database_url(value: str) -> dict[str, Any]:
    """Return Django's database settings for a `postgres://` URL."""
    # Any other engine parses too, and would fail much later without schemas.
    if not re.match(r"postgres(ql)?://", value):
        raise ValueError("does not start with postgres://")
    if re.match(r"[^@/?#]*//[^@/?#]*[/?#].*@", value):
        raise ValueError("has / ? or # in its password, which are written %2F, %3F and %23")
    try:
        config = environ.Env.db_url_config(value)
    except Exception:  # its text may hold a part of the password
        raise ValueError("is not a database URL") from None
    missing = [part for part in ("USER", "HOST", "NAME") if not config.get(part)]
    if missing:
        raise ValueError(f"names no {' and no '.join(missing).lower()}")
    return config


def email_url(value: str) -> dict[str, Any]:
    """Return Django's e-mail settings for an `smtp://` or `consolemail://` URL."""
    if not re.fullmatch(r"smtp(\+tls|\+ssl)?://\S+|consolemail://", value):
        raise ValueError("is not an e-mail URL")
    return environ.Env.email_url_config(value)


def headers(value: str) -> dict[str, str]:
    """Return the headers of NAME=VALUE, comma separated."""
    pairs = [word.partition("=") for word in words(value)]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError("is not NAME=VALUE, comma separated")
    return {name.strip(): unquote(text.strip()) for name, _, text in pairs}


def share(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError("is not a number") from None
    if not 0 <= number <= 1:
        raise ValueError("is not between 0 and 1")
    return number


def address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("is not HOST:PORT")
    return value


def networks(value: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(word) for word in words(value)]
    except ValueError as error:
        raise ValueError(f"names no network: {error}") from None


redis_url = matching(r"rediss?://[^/\s]+(/\d+)?(\?\S*)?", "is not a Redis URL")
region = matching(r"[a-z]{2,}(-[a-z]+)+-\d+", "is not a region of AWS")
# boto3 refuses a host with an underscore, and says so at the first call only.
endpoint = matching(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", "is not http://HOST or http://HOST:PORT")
collector = matching(
    r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[\w.~-]+)*",
    "is not http://HOST or http://HOST:PORT, with or without a path",
)
sentry_dsn = matching(
    r"https?://\w+(:\w+)?@[\w.-]+(:\d+)?(/[\w.-]+)*/\d+", "is not a DSN of Sentry"
)
bucket_name = matching(
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "is not a bucket's name (a-z, 0-9, dot, hyphen; 3 to 63 characters)",
)
# PostgreSQL's image and its file of passwords take one line.
line = matching(r"[^\r\n]*", "has more than one line")
schema_name = matching(
    r"[a-z][a-z0-9_]{0,55}", "is not a tenant's schema name (a-z, 0-9, _; letter first; 56 at most)"
)
stack_name = matching(
    r"([a-z0-9][a-z0-9_-]*)?",
    "is not a Compose project's name (a-z, 0-9, _, -; letter or digit first)",
)
parameter_path = matching(
    r"(/[A-Za-z0-9_.-]+)+", "is not a path of SSM parameters (begins with /, ends without)"
)
user_pool = matching(
    r"[a-z]+(-[a-z]+)+-\d+_[A-Za-z0-9]+", "is not the id of a Cognito user pool (REGION_ID)"
)
