"""The environment contract: every variable Homeport knows, declared once.

Settings read their values from here, `.env.example` and the reference table are generated
from here, and tests compare the Compose files with it. Adding a variable means adding one
`Variable` to `CONTRACT`.

    python -m core.env get SERVER   # print values; refuses a bad environment
    python -m core.env check        # look at what Compose files read, too
    python -m core.env example      # print .env.example
    python -m core.env contract     # print the declarations, as JSON
    python -m core.env effective    # print what this process would see of them, as JSON
    python -m core.env verify JSON  # print the problems of several environments, as JSON
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Container, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import environ

MODES = ("local", "test", "build", "production")
SETTINGS = {mode: f"core.settings.{mode}" for mode in MODES}

# The ways in which the stack is run.
DEPLOYMENTS = ("local-compose", "local-embedded", "production")
EVERYWHERE = frozenset(DEPLOYMENTS)
LOCALLY = frozenset({"local-compose", "local-embedded"})


class EnvironmentProblems(Exception):
    """The environment cannot be used; the text lists every problem and its remedy.

    Args:
        text: what is printed.
        problems: each problem by itself, beginning with the variable's name.
    """

    def __init__(self, text: str, problems: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.problems = list(problems) or [text]


# --- parsers: text -> value, ValueError with the fault ------------------------------------


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


def optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Read an empty value as None."""
    return lambda value: parse(value) if value else None


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return value

    return parse


def words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def database_url(value: str) -> dict[str, Any]:
    """Return Django's database settings for a `postgres://` URL."""
    # Any other engine parses too, and would fail much later without schemas.
    if not re.match(r"postgres(ql)?://", value):
        raise ValueError("does not start with postgres://")
    try:
        config = environ.Env.db_url_config(value)
    except Exception as error:
        raise ValueError(f"is not a database URL ({error})") from None
    missing = [part for part in ("USER", "HOST", "NAME") if not config.get(part)]
    if missing:
        raise ValueError(f"names no {' and no '.join(missing).lower()}")
    return config


def redis_url(value: str) -> str:
    if not re.fullmatch(r"rediss?://[^/\s]+(/\d+)?(\?\S*)?", value):
        raise ValueError("is not a Redis URL")
    return value


def email_url(value: str) -> dict[str, Any]:
    """Return Django's e-mail settings for an `smtp://` or `consolemail://` URL."""
    if not re.fullmatch(r"smtp(\+tls|\+ssl)?://\S+|consolemail://", value):
        raise ValueError("is not an e-mail URL")
    return environ.Env.email_url_config(value)


def address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("is not HOST:PORT")
    return value


def region(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d+", value):
        raise ValueError("is not a region of AWS")
    return value


def endpoint(value: str) -> str:
    # boto3 refuses a host with an underscore, and says so at the first call only.
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", value):
        raise ValueError("is not http://HOST or http://HOST:PORT")
    return value


def bucket_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise ValueError("is not a bucket's name (a-z, 0-9, dot, hyphen; 3 to 63 characters)")
    return value


def networks(value: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(word) for word in words(value)]
    except ValueError as error:
        raise ValueError(f"names no network: {error}") from None


def url_word(value: str) -> str:
    # Compose files write these into URLs as they are.
    if not re.fullmatch(r"[A-Za-z0-9_.~-]*", value):
        raise ValueError("has other characters than letters, digits and -._~")
    return value


def schema_name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,55}", value):
        raise ValueError("is not a tenant's schema name (a-z, 0-9, _; letter first; 56 at most)")
    return value


def parameter_path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", value):
        raise ValueError("is not a path of SSM parameters (begins with /, ends without)")
    return value


def user_pool(value: str) -> str:
    if not re.fullmatch(r"[a-z]+(-[a-z]+)+-\d+_[A-Za-z0-9]+", value):
        raise ValueError("is not the id of a Cognito user pool (REGION_ID)")
    return value


# --- the contract -------------------------------------------------------------------------


@dataclass(frozen=True)
class Variable:
    """One environment variable.

    Args:
        name: as it stands in the environment.
        group: heading it is documented under.
        why: what it is for, in one or two lines.
        parse: turns the text into the value settings use; raises ValueError with the fault.
        default: the text used when the variable is unset or empty; None if there is none.
        example: a valid value, shown in errors and in the documentation.
        required_in: modes in which the default does not count and a value must be given.
        secret: True if the value must never be printed.
        reader: "backend" for what the application reads, "compose" for what only
            Compose files and database containers read, "dev" for what only ./dev reads.
        deployments: the DEPLOYMENTS it exists in. None given: EVERYWHERE for what the
            application reads, LOCALLY for what ./dev reads, and for the rest wherever a
            Compose file names it.
        library: the package that reads it from the environment by itself, where no code
            of the backend does.
    """

    name: str
    group: str
    why: str
    parse: Callable[[str], Any] = text
    default: str | None = ""
    example: str = ""
    required_in: frozenset[str] = field(default_factory=frozenset)
    secret: bool = False
    reader: str = "backend"
    deployments: frozenset[str] = frozenset()
    library: str = ""


PRODUCTION = frozenset({"production"})

CONTRACT: tuple[Variable, ...] = (
    Variable(
        "DJANGO_SETTINGS_MODULE",
        "Django",
        "Which settings are in force. Compose sets it; nothing guesses it.",
        one_of(*SETTINGS.values()),
        default=None,
        example="core.settings.local",
        required_in=frozenset(MODES),
    ),
    Variable(
        "SECRET_KEY",
        "Django",
        "Signs sessions and tokens. The local default is public, so it protects nothing.",
        default="local-only-key-that-protects-nothing",
        example="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')",
        required_in=PRODUCTION,
        secret=True,
    ),
    Variable(
        "ALLOWED_HOSTS",
        "Django",
        "Host names answered, comma separated; a leading dot includes subdomains.",
        words,
        default=".localhost,127.0.0.1,[::1],web,.app.github.dev",
        example="app.example.com,.app.example.com",
        required_in=PRODUCTION,
    ),
    Variable(
        "CSRF_TRUSTED_ORIGINS",
        "Django",
        "Origins whose forms are accepted, with scheme, comma separated. The Codespaces proxy\n"
        "may report either its own name or localhost.",
        words,
        default="https://*.app.github.dev,http://localhost:8000,https://localhost:8000",
        example="https://app.example.com",
        required_in=PRODUCTION,
    ),
    Variable(
        "CORS_ALLOWED_ORIGINS",
        "Django",
        "Origins whose pages may call the API from a browser, with scheme, comma separated.",
        words,
        default="http://localhost:3000,http://localhost:5173",
        example="https://www.example.com",
    ),
    Variable(
        "PROXY_COUNT",
        "Django",
        "Proxies in front of web that add to X-Forwarded-For. Log-ins are counted by the\n"
        "address before them; 0 trusts no header. In production 1: something must end TLS.",
        whole_number(0, 9),
        default="0",
        example="1",
    ),
    Variable(
        "PROXY_NETWORKS",
        "Django",
        "Networks the nearest proxy connects from. What others say in X-Forwarded-* headers is\n"
        "not believed. The default is every private network; name your proxy's own.",
        networks,
        default="127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7",
        example="10.0.1.0/24",
    ),
    Variable(
        "DATABASE_URL",
        "Database",
        "PostgreSQL, with the role to log in as: app for web and worker, app_owner for release\n"
        "and tests.",
        database_url,
        default="postgres://app:app@127.0.0.1:5432/homeport",
        example="postgres://app:PASSWORD@db.internal:5432/homeport",
        required_in=PRODUCTION,
        secret=True,
    ),
    Variable(
        "DATABASE_CONN_MAX_AGE",
        "Database",
        "Seconds a connection is kept. Reuse is worth about 8 ms a request; an end keeps the\n"
        "memory that many tenants' tables cost a connection from growing for ever.",
        whole_number(0, 3600),
        default="300",
        example="300",
    ),
    Variable(
        "REDIS_URL",
        "Redis",
        "Cache and sessions.",
        redis_url,
        default="redis://127.0.0.1:6379/0",
        example="redis://redis.internal:6379/0",
        required_in=PRODUCTION,
        secret=True,
    ),
    Variable(
        "CELERY_BROKER_URL",
        "Redis",
        "Queues of background tasks.",
        redis_url,
        default="redis://127.0.0.1:6379/1",
        example="redis://redis.internal:6379/1",
        required_in=PRODUCTION,
        secret=True,
    ),
    Variable(
        "CELERY_RESULT_BACKEND",
        "Redis",
        "Results of background tasks, kept for an hour.",
        redis_url,
        default="redis://127.0.0.1:6379/2",
        example="redis://redis.internal:6379/2",
        required_in=PRODUCTION,
        secret=True,
    ),
    Variable(
        "SERVER",
        "Processes",
        "What bin/web starts: gunicorn as in production, or runserver with reload.",
        one_of("gunicorn", "runserver"),
        default="gunicorn",
        example="runserver",
    ),
    Variable(
        "WEB_BIND",
        "Processes",
        "Address web listens on inside its container or machine.",
        address,
        default="127.0.0.1:8000",
        example="0.0.0.0:8000",
    ),
    Variable(
        "WEB_CONCURRENCY",
        "Processes",
        "Gunicorn worker processes. Empty: two for each CPU the container may use, plus one.",
        optional(whole_number(1, 64)),
        example="4",
    ),
    Variable(
        "WEB_THREADS",
        "Processes",
        "Threads of each Gunicorn worker.",
        whole_number(1, 64),
        default="4",
        example="4",
    ),
    Variable(
        "WORKER_CONCURRENCY",
        "Processes",
        "Processes of the Celery worker.",
        whole_number(1, 64),
        default="2",
        example="4",
    ),
    Variable(
        "WORKER_HEARTBEAT_FILE",
        "Processes",
        "File the worker touches every few seconds; its health check looks at the time.",
        default="/tmp/homeport-worker-heartbeat",
        example="/run/homeport/worker-heartbeat",
    ),
    Variable(
        "RELOAD",
        "Processes",
        "Whether Gunicorn and the worker are restarted after an edit; runserver always is.\n"
        "Refused in production.",
        boolean,
        default="false",
        example="true",
    ),
    Variable(
        "DEBUGPY_PORT",
        "Processes",
        "Port on which the debugger of web or worker waits for an editor. Empty: no debugger.\n"
        "Refused in production: who reaches it runs any code.",
        optional(whole_number(1, 65535)),
        example="5678",
    ),
    Variable(
        "DEBUGPY_HOST",
        "Processes",
        "Address that DEBUGPY_PORT is opened on. It asks for no password: 0.0.0.0 only in a\n"
        "container whose port is not published, or on loopback alone.",
        default="127.0.0.1",
        example="0.0.0.0",  # noqa: S104
    ),
    Variable(
        "LOG_FORMAT",
        "Logs",
        "json: one object a line, as in production. console: coloured, for reading.",
        one_of("json", "console"),
        default="json",
        example="console",
    ),
    Variable(
        "LOG_LEVEL",
        "Logs",
        "Least severe level that is written.",
        one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        default="INFO",
        example="DEBUG",
    ),
    Variable(
        "TENANT_BASE_DOMAIN",
        "Tenants",
        "Each tenant answers at NAME.this-domain.",
        default="localhost",
        example="app.example.com",
        required_in=PRODUCTION,
    ),
    Variable(
        "TENANT_DEFAULT",
        "Tenants",
        "Tenant of a host that names none (localhost, a Codespaces address). Refused in\n"
        "production: there an unknown host is answered 404.",
        optional(schema_name),
        default="test1",
        example="test1",
    ),
    Variable(
        "TENANT_HEADER",
        "Tenants",
        "Whether the X-Tenant header may choose the tenant. Refused in production, where hosts\n"
        "decide.",
        boolean,
        default="true",
        example="true",
    ),
    Variable(
        "OPERATIONS_HOST",
        "Tenants",
        "Host of the operators' admin, where tenants themselves are managed. Empty: none.",
        default="public.localhost",
        example="operations.example.com",
    ),
    Variable(
        "STATIC_ROOT",
        "Files",
        "Directory collectstatic writes to.",
        default="/tmp/homeport/static",
        example="/data/static",
    ),
    Variable(
        "MEDIA_ROOT",
        "Files",
        "Directory uploaded files are kept in where no bucket is named.",
        default="/tmp/homeport/media",
        example="/data/media",
    ),
    Variable(
        "EXPORT_ROOT",
        "Files",
        "Directory the archives of exported tenants are written to. Not for web: whoever reads\n"
        "them reads every tenant.",
        default="/tmp/homeport/exports",
        example="/data/exports",
    ),
    Variable(
        "AWS_DEFAULT_REGION",
        "AWS",
        "The one region of everything: in another there is no error, only nothing to be found.",
        region,
        default="eu-west-1",
        example="us-east-1",
    ),
    Variable(
        "AWS_ACCESS_KEY_ID",
        "AWS",
        "Key of the emulators, always test: only for it do they check signatures. In the cloud\n"
        "there is none; the task's role gives short-lived ones.",
        example="test",
        library="boto3",
    ),
    Variable(
        "AWS_SECRET_ACCESS_KEY",
        "AWS",
        "Secret that belongs to it, also test.",
        example="test",
        secret=True,
        library="boto3",
    ),
    Variable(
        "AWS_ENDPOINT_URL",
        "AWS",
        "Where AWS is emulated. Empty: the cloud.",
        optional(endpoint),
        example="http://localstack:4566",
    ),
    Variable(
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
        "AWS",
        "Where Cognito is emulated. Empty: where the rest of AWS is.",
        optional(endpoint),
        example="http://cognito:5000",
    ),
    Variable(
        "AWS_S3_PUBLIC_ENDPOINT_URL",
        "AWS",
        "The emulator's S3 as browsers reach it: a signed address is good for one host only.\n"
        "In Codespaces the forwarded address of port 4566. Empty: AWS_ENDPOINT_URL.",
        optional(endpoint),
        example="https://NAME-4566.app.github.dev",
    ),
    Variable(
        "AWS_STORAGE_BUCKET_NAME",
        "AWS",
        "Bucket uploaded files are kept in. Empty: the directory MEDIA_ROOT.",
        optional(bucket_name),
        example="homeport-local",
    ),
    Variable(
        "AWS_EC2_METADATA_DISABLED",
        "AWS",
        "Keeps boto3 from asking a machine in the cloud who it is, which hangs outside of it.",
        boolean,
        default="false",
        example="true",
    ),
    Variable(
        "DEV_ENGINE",
        "Front door",
        "What runs the stack: compose, embedded (no Docker needed), or auto: Compose where a\n"
        "Docker daemon answers.",
        default="auto",
        example="embedded",
        reader="dev",
    ),
    Variable(
        "EMAIL_URL",
        "E-mail",
        "Server that takes messages; smtp+tls:// and smtp+ssl:// encrypt. consolemail:// writes\n"
        "them to the worker's log.",
        email_url,
        default="consolemail://",
        example="smtp+tls://USER:PASSWORD@smtp.example.com:587",
        required_in=PRODUCTION,
        secret=True,
    ),
    Variable(
        "EMAIL_FROM",
        "E-mail",
        "Sender of every message.",
        default="Homeport <shop@localhost>",
        example="Example <shop@example.com>",
    ),
    Variable(
        "SSM_PARAMETER_PATH",
        "Parameters and tokens",
        "Path in SSM Parameter Store: PATH/NAME fills the variable NAME if nothing else sets it.\n"
        "Empty: nothing is asked, as on ECS, whose task definitions name their parameters.",
        optional(parameter_path),
        example="/homeport/local",
    ),
    Variable(
        "API_TOKENS",
        "Parameters and tokens",
        "Whose tokens the API accepts: its own (local), or also those of a Cognito user pool.",
        one_of("local", "local,cognito"),
        default="local",
        example="local,cognito",
    ),
    Variable(
        "COGNITO_USER_POOL_ID",
        "Parameters and tokens",
        "User pool whose tokens are accepted; the id begins with the pool's region.",
        optional(user_pool),
        example="eu-west-1_Ab1Cd2Ef3",
    ),
    Variable(
        "COGNITO_APP_CLIENT_ID",
        "Parameters and tokens",
        "The pool's app client that tokens must have been made for.",
        example="7lhlkkfbfb4q5kpp90urffao",
    ),
    Variable(
        "COMPOSE_PROJECT_NAME",
        "Compose",
        "Name of the stack; give each checkout of one machine its own. Empty: the name of the\n"
        "checkout's directory.",
        example="homeport-two",
        reader="compose",
    ),
    Variable(
        "WEB_PORT",
        "Compose",
        "Port of 127.0.0.1 that web is published on.",
        default="8000",
        example="8001",
        reader="compose",
    ),
    Variable(
        "DB_PORT",
        "Compose",
        "Port of 127.0.0.1 that PostgreSQL is published on, for database tools.",
        default="5432",
        example="5433",
        reader="compose",
    ),
    Variable(
        "REDIS_PORT",
        "Compose",
        "Port of 127.0.0.1 that Redis is published on.",
        default="6379",
        example="6380",
        reader="compose",
    ),
    Variable(
        "LOCALSTACK_PORT",
        "Compose",
        "Port of 127.0.0.1 that the emulated S3 and Parameter Store are published on.",
        default="4566",
        example="4567",
        reader="compose",
    ),
    Variable(
        "COGNITO_PORT",
        "Compose",
        "Port of 127.0.0.1 that the emulated Cognito is published on. Not 5000: macOS is there.",
        default="5050",
        example="5051",
        reader="compose",
    ),
    Variable(
        "LOCALSTACK_IMAGE",
        "Compose",
        "What emulates S3 and Parameter Store. Later LocalStack images need an account's token.",
        default="localstack/localstack:4.14.0",
        example="localstack/localstack:2026.8.2",
        reader="compose",
    ),
    Variable(
        "LOCALSTACK_AUTH_TOKEN",
        "Compose",
        "Token of a LocalStack account, for images that need one.",
        example="ls-...",
        secret=True,
        reader="compose",
    ),
    Variable(
        "WEB_DEBUG_PORT",
        "Compose",
        "Port of 127.0.0.1 for the debugger of web, where docker-compose.debug.yml publishes it\n"
        "and where it is without Docker.",
        default="5678",
        example="5688",
        reader="compose",
    ),
    Variable(
        "WORKER_DEBUG_PORT",
        "Compose",
        "The same for the worker.",
        default="5679",
        example="5689",
        reader="compose",
    ),
    Variable(
        "APP_UID",
        "Compose",
        "User id of the application in the image. ./dev gives yours, so that files it writes\n"
        "into the checkout belong to you.",
        default="1001",
        example="1000",
        reader="compose",
    ),
    Variable(
        "APP_GID",
        "Compose",
        "Group id of the application in the image.",
        default="1001",
        example="1000",
        reader="compose",
    ),
    Variable(
        "WEB_CPUS",
        "Compose",
        "CPUs web may use; also decides how many Gunicorn workers it starts.",
        default="1.0",
        example="2.0",
        reader="compose",
    ),
    Variable(
        "WORKER_CPUS",
        "Compose",
        "CPUs the worker may use.",
        default="1.0",
        example="2.0",
        reader="compose",
    ),
    Variable(
        "POSTGRES_PASSWORD",
        "Compose",
        "Password of the database's superuser. Counts when the volume is created.",
        default="postgres",
        example="postgres",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "APP_PASSWORD",
        "Compose",
        "Password of the role app. Counts when the volume is created.",
        url_word,
        default="app",
        example="app",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "APP_OWNER_PASSWORD",
        "Compose",
        "Password of the role app_owner. Counts when the volume is created.",
        url_word,
        default="app_owner",
        example="app_owner",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "REDIS_PASSWORD",
        "Compose",
        "Password of Redis in docker-compose.prod.yml. The local stack has none.",
        url_word,
        example="$(python -c 'import secrets; print(secrets.token_urlsafe(32))')",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "BACKEND_IMAGE",
        "Compose",
        "Image of the application in docker-compose.prod.yml: built under this name, or pulled.",
        default="homeport-backend:production",
        example="registry.example.com/homeport-backend:2026-11-20",
        reader="compose",
    ),
    Variable(
        "PUBLISH_ADDRESS",
        "Compose",
        "Address of the machine on which docker-compose.prod.yml publishes web. The default is\n"
        "for a reverse proxy on the same machine; web itself does not speak TLS.",
        default="127.0.0.1",
        example="10.0.0.5",
        reader="compose",
    ),
    Variable(
        "PROXY_ADDRESS",
        "Compose",
        "Address of the machine on which the proxy of docker-compose.prod.yml is published.",
        default="127.0.0.1",
        example="203.0.113.5",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "PROXY_HTTP_PORT",
        "Compose",
        "Port on which that proxy sends browsers on to https://.",
        default="8080",
        example="80",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "PROXY_HTTPS_PORT",
        "Compose",
        "Port on which that proxy ends TLS.",
        default="8443",
        example="443",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "PROXY_CERTIFICATE",
        "Compose",
        "File with that proxy's certificate chain and key, readable by its user; PEM.",
        default="/dev/null",
        example="/etc/letsencrypt/live/app.example.com/haproxy.pem",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "WEB_REPLICAS",
        "Compose",
        "How many containers of web docker-compose.prod.yml runs. More than one needs WEB_PORT=0\n"
        "and a proxy that finds them.",
        whole_number(0, 20),
        default="1",
        example="3",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "WORKER_REPLICAS",
        "Compose",
        "How many containers of the worker docker-compose.prod.yml runs.",
        whole_number(0, 20),
        default="1",
        example="3",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "DB_CPUS",
        "Compose",
        "CPUs PostgreSQL may use in docker-compose.prod.yml.",
        default="1.0",
        example="4.0",
        reader="compose",
    ),
    Variable(
        "DB_MEMORY",
        "Compose",
        "Memory PostgreSQL may use in docker-compose.prod.yml.",
        default="1G",
        example="8G",
        reader="compose",
    ),
)

GUESSABLE = "has fewer than 16 characters of password"  # the local ones are, too


def _guessable(password: str) -> bool:
    return len(password) < 16


# What a mode refuses although it parses: (variable, is it refused?, reason).
REFUSED_IN_PRODUCTION: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("SECRET_KEY", lambda key: len(key) < 50, "is shorter than 50 characters"),
    ("SECRET_KEY", lambda key: len(set(key)) < 10, "repeats a few characters"),
    ("ALLOWED_HOSTS", lambda hosts: "*" in hosts, "contains *, which answers to any name"),
    (
        "CSRF_TRUSTED_ORIGINS",
        lambda origins: not all(origin.startswith("https://") for origin in origins),
        "names an origin without https://",
    ),
    ("DATABASE_URL", lambda url: _guessable(url.get("PASSWORD") or ""), GUESSABLE),
    ("POSTGRES_PASSWORD", _guessable, GUESSABLE),
    ("APP_PASSWORD", _guessable, GUESSABLE),
    ("APP_OWNER_PASSWORD", _guessable, GUESSABLE),
    ("REDIS_PASSWORD", _guessable, GUESSABLE),
    (
        "EMAIL_URL",
        lambda url: "console" in url["EMAIL_BACKEND"],
        "writes messages to the log, where nobody gets them",
    ),
    ("SERVER", lambda server: server != "gunicorn", "is a development server"),
    ("RELOAD", bool, "restarts the server when a file changes"),
    ("DEBUGPY_PORT", bool, "lets whoever reaches it run any code"),
    ("TENANT_HEADER", bool, "lets any client choose its tenant"),
    ("TENANT_DEFAULT", bool, "gives an unknown host a tenant"),
)
# What the value of one variable makes necessary: (variable, does it need them?, the others).
REQUIRED_WITH: tuple[tuple[str, Callable[[Any], bool], tuple[str, ...]], ...] = (
    (
        "API_TOKENS",
        lambda issuers: "cognito" in issuers,
        ("COGNITO_USER_POOL_ID", "COGNITO_APP_CLIENT_ID"),
    ),
)
# Local conveniences that production turns off by itself when nobody sets them.
PRODUCTION_DEFAULTS = {
    "TENANT_HEADER": "false",
    "TENANT_DEFAULT": "",
    "OPERATIONS_HOST": "",
    "CORS_ALLOWED_ORIGINS": "",
    "PROXY_COUNT": "1",
}

# Asked for what nobody set, where SSM_PARAMETER_PATH is set. By its dotted name, as settings
# name middleware, because core imports no application; and only then, because it is slow.
PARAMETER_STORE = "cloud.parameters.fetch"
# Said by whoever starts a process, so that scripts and health checks need not ask the store.
NEVER_STORED = frozenset({"DJANGO_SETTINGS_MODULE", "SSM_PARAMETER_PATH"}) | {
    variable.name for variable in CONTRACT if variable.group == "Processes"
}
# A process's note to its children: the path that was read, and the names it filled.
FILLED = "SSM_PARAMETERS_FILLED"
# What the emulators are given for keys.
TEST_CREDENTIALS = frozenset({"test", "testing"})


# --- reading ------------------------------------------------------------------------------


class Environment(Mapping[str, Any]):
    """The parsed values of one mode, by variable name; `mode` names the mode."""

    def __init__(self, mode: str, values: dict[str, Any]) -> None:
        self.mode = mode
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self):
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def read(
    source: Mapping[str, str],
    names: Container[str] | None = None,
    readers: Collection[str] = ("backend",),
) -> Environment:
    """Parse and validate every variable the backend reads, or those of `names` alone.

    Args:
        source: the environment, name to text. Empty text counts as unset; then NAME_FILE may
            name a file that holds the value, as mounted secrets do.
        readers: whose variables; see `Variable.reader`.

    Raises:
        EnvironmentProblems: naming all problems at once, each with an example.
    """
    mode = _mode(source)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable in CONTRACT:
        if variable.reader not in readers or (names is not None and variable.name not in names):
            continue
        try:
            raw = _given(variable, source) or _default(variable, mode)
        except OSError as error:
            problems.append(_problem(variable, f"cannot be read from its file: {error}"))
            continue
        if raw is None:
            problems.append(_problem(variable, "is not set"))
            continue
        try:
            values[variable.name] = variable.parse(raw)
        except ValueError as error:
            shown = "" if variable.secret else f" ({raw!r})"
            problems.append(_problem(variable, f"{error}{shown}"))
    by_name = {variable.name: variable for variable in CONTRACT}
    for name, needs, others in REQUIRED_WITH:
        if name in values and needs(values[name]):
            problems += [
                _problem(by_name[other], f"is not set, and {name}={values[name]} needs it")
                for other in others
                if other in values and not values[other]
            ]
    if mode == "production":
        for name, is_refused, reason in REFUSED_IN_PRODUCTION:
            if name in values and is_refused(values[name]):
                problems.append(_problem(by_name[name], f"{reason}: refused in production"))
        problems += [
            f"{name} {reason}: refused in production\n      unset {name}"
            for name, reason in emulation(source)
        ]
        if source.get("DEBUG", "").lower() not in ("", "0", "false", "no", "off"):
            problems.append("DEBUG is set: production shows nobody its insides; remove it")
    if problems:
        raise EnvironmentProblems(_report(SETTINGS[mode], problems), problems)
    return Environment(mode, values)


@cache
def environment() -> Environment:
    """Return the environment of this process, read once, with the parameters of the store.

    Raises:
        EnvironmentProblems: as `read` and `fill`.
    """
    fill(os.environ)
    return read(os.environ)


def environment_or_exit() -> Environment:
    """As `environment`, for what starts a process: problems end it with their text alone."""
    try:
        return environment()
    except EnvironmentProblems as problems:
        sys.exit(str(problems))


def own(*names: str) -> Environment:
    """Return variables that whoever starts this process sets; no store is asked for them.

    Where there is no store, the whole environment is validated all the same.

    Raises:
        EnvironmentProblems: as `environment`.
    """
    if os.environ.get("SSM_PARAMETER_PATH") and NEVER_STORED.issuperset(names):
        return read(os.environ, names)
    return environment()


def fill(source: MutableMapping[str, str]) -> None:
    """Set what is unset in `source` from the parameters under SSM_PARAMETER_PATH.

    A process does so once, for its children too: `FILLED` tells them.

    Raises:
        EnvironmentProblems: when the parameters cannot be had.
    """
    mode = _mode(source)
    path = source.get("SSM_PARAMETER_PATH", "")
    read_before, *names = source.get(FILLED, "").split() or [""]
    if path == read_before:
        return
    for name in (FILLED, *names):
        source.pop(name, None)
    try:
        stored = _stored(parameter_path(path)) if path else {}
    except ValueError:
        return  # `read` says so, with all else
    except (OSError, LookupError) as error:
        fault = f"SSM_PARAMETER_PATH={path}: {error}"
        raise EnvironmentProblems(_report(SETTINGS[mode], [fault])) from error
    unset = {name: value for name, value in stored.items() if not source.get(name)}
    source.update(unset)
    if path:
        source[FILLED] = " ".join([path, *unset])


def source_of(name: str) -> str:
    """Return where this process has a value from: "ssm", "environment" or "default".

    "environment" is whatever was set at the start: by the shell, Compose, `.env`, a task
    definition.

    Raises:
        EnvironmentProblems: as `fill`.
    """
    fill(os.environ)
    if name in os.environ.get(FILLED, "").split()[1:]:
        return "ssm"
    return "environment" if os.environ.get(name) else "default"


def emulation(source: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is set in `source` for an emulator of AWS: variable and reason.

    Emulators sign tokens with a key that everybody knows, and check hardly any signature.
    """
    found = []
    for name, value in sorted(source.items()):
        if value and (name.startswith("AWS_ENDPOINT_URL") or name == "AWS_S3_PUBLIC_ENDPOINT_URL"):
            found.append((name, "leads away from AWS"))
        if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") and value in TEST_CREDENTIALS:
            found.append((name, "is an emulator's credential"))
    return found


def _stored(path: str) -> dict[str, str]:
    """Return the store's values for declared variables; what it may not set is named."""
    module, _dot, function = PARAMETER_STORE.rpartition(".")
    found: dict[str, str] = getattr(importlib.import_module(module), function)(path)
    known = {variable.name for variable in CONTRACT if variable.reader == "backend"}
    for name in sorted(found.keys() - (known - NEVER_STORED)):
        reason = "is set by what starts the process" if name in known else "is not declared"
        print(f"parameter {path}/{name} is ignored: {name} {reason}", file=sys.stderr)
    return {name: value for name, value in found.items() if name in known - NEVER_STORED}


def _mode(source: Mapping[str, str]) -> str:
    module = source.get("DJANGO_SETTINGS_MODULE", "")
    for mode, name in SETTINGS.items():
        if module == name:
            return mode
    fault = f"is {module!r}" if module else "is not set"
    choices = "\n".join(f"    {name}" for name in SETTINGS.values())
    raise EnvironmentProblems(
        f"DJANGO_SETTINGS_MODULE {fault}. Choose one of:\n{choices}\n"
        "The stack sets it by itself; elsewhere:\n"
        f"    export DJANGO_SETTINGS_MODULE={SETTINGS['local']}"
    )


def _given(variable: Variable, source: Mapping[str, str]) -> str:
    """Return the text given for a variable, by value or by file, or nothing.

    Raises:
        OSError: when the file it is in cannot be read.
    """
    if value := source.get(variable.name, ""):
        return value
    file = source.get(f"{variable.name}_FILE", "")
    return Path(file).read_text().strip() if file else ""


def _default(variable: Variable, mode: str) -> str | None:
    if mode in variable.required_in:
        return None
    if mode == "production":
        return PRODUCTION_DEFAULTS.get(variable.name, variable.default)
    return variable.default


def _problem(variable: Variable, fault: str) -> str:
    return f"{variable.name} {fault}\n      e.g. {variable.name}={variable.example}"


def _report(settings: str, problems: list[str]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "\n".join(f"  - {problem}" for problem in problems)
    return (
        f"{count} in the environment for {settings}:\n{lines}\n"
        "Every variable is described in .env.example."
    )


# --- documentation ------------------------------------------------------------------------


def example_file() -> str:
    """Return the text of `.env.example`: every variable, commented out, with its default."""
    lines = [
        "# Every variable Homeport knows. Generated from backend/core/env.py; do not edit.",
        "#",
        "# None is needed to start: what is commented out is the local default. To change one,",
        "# copy its line into a file called .env beside this one, without the leading '# '.",
        "# Never commit .env. Values marked SECRET must be random and unique in production,",
        "# and come from a secret store there, not from a file.",
    ]
    for group in _groups(CONTRACT):
        lines += ["", f"# --- {group} " + "-" * (88 - len(group))]
        for variable in CONTRACT:
            if variable.group == group:
                lines += ["", *_example_lines(variable)]
    return "\n".join(lines) + "\n"


def _groups(contract: Iterable[Variable]) -> list[str]:
    return list(dict.fromkeys(variable.group for variable in contract))


def _example_lines(variable: Variable) -> list[str]:
    lines = [f"# {line}" for line in variable.why.splitlines()]
    if variable.secret:
        lines.append("# SECRET.")
    if variable.required_in:
        lines.append(f"# Must be set in: {', '.join(sorted(variable.required_in))}.")
    if variable.example and variable.example != variable.default:
        lines.append(f"# e.g. {variable.name}={variable.example}")
    lines.append(f"# {variable.name}={variable.default or ''}")
    return lines


def _as_text(value: Any) -> str:
    """Write a value as a shell tests it: nothing for None, true or false."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- for ./dev ----------------------------------------------------------------------------


_DEPLOYMENTS = {"backend": EVERYWHERE, "dev": LOCALLY, "compose": frozenset()}


def contract() -> list[dict[str, Any]]:
    """Return every declaration as plain data; a default that does not count is None.

    No deployments: wherever a Compose file names it.
    """
    return [
        {
            "name": variable.name,
            "group": variable.group,
            "why": variable.why,
            "default": _default(variable, "local"),
            "production_default": _default(variable, "production"),
            "example": variable.example,
            "required_in": sorted(variable.required_in),
            "secret": variable.secret,
            "reader": variable.reader,
            "deployments": sorted(variable.deployments or _DEPLOYMENTS[variable.reader]),
            "library": variable.library,
        }
        for variable in CONTRACT
    ]


def effective() -> dict[str, dict[str, str]]:
    """Return the text this process has for every variable the backend reads, and its source.

    A variable without a value is left out. The text of a secret is in it.
    """
    found = {}
    for variable in CONTRACT:
        if variable.reader != "backend":
            continue
        source = source_of(variable.name)
        value = _given(variable, os.environ) or _default(variable, _mode(os.environ))
        if value is not None:
            found[variable.name] = {"value": value, "source": source}
    return found


def verify(environments: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the problems of each of several environments, by the label it was given."""
    found = {}
    for label, source in environments.items():
        try:
            read(source)
        except EnvironmentProblems as problems:
            found[label] = problems.problems
    return found


def main(arguments: list[str]) -> int:
    """Run one of the commands above; return the exit status."""
    try:
        match arguments:
            case ["get", *names] if names:
                values = own(*names)
                for name in names:
                    print(_as_text(values[name]))
            case ["check"]:
                read(os.environ, readers=("backend", "compose"))
            case ["example"]:
                print(example_file(), end="")
            case ["contract"]:
                print(json.dumps(contract()))
            case ["effective"]:
                print(json.dumps(effective()))
            case ["verify", environments]:
                print(json.dumps(verify(json.loads(environments))))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except EnvironmentProblems as problems:
        print(problems, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EnvironmentProblems as problems:
        sys.exit(str(problems))
