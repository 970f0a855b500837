"""The environment contract: the one declaration of every variable.

Settings read their values through it, `.env.example` and the reference are generated from it, and
`./dev env --check` compares every file that names a variable with it. To add a variable, add a
`Variable` to `CONTRACT`, next to the others of its group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from .parsers import (
    address,
    boolean,
    bucket_name,
    collector,
    database_url,
    email_url,
    endpoint,
    headers,
    line,
    networks,
    one_of,
    optional,
    parameter_path,
    redis_url,
    region,
    schema_name,
    seconds_each,
    sentry_dsn,
    share,
    stack_name,
    text,
    user_pool,
    whole_number,
    words,
)

MODES = ("local", "test", "build", "production")
SETTINGS = {mode: f"core.settings.{mode}" for mode in MODES}

# The ways in which the stack is run.
DEPLOYMENTS = ("local-compose", "local-embedded", "production")
EVERYWHERE = frozenset(DEPLOYMENTS)
LOCALLY = frozenset({"local-compose", "local-embedded"})


@dataclass(frozen=True)
class Variable:
    """One environment variable.

    Args:
        name: its name in the environment.
        group: its heading in the documentation.
        why: its purpose, in one or two lines.
        parse: converts the text to the value for settings; raises ValueError with the reason.
        default: the text for an unset or empty variable; None if there is none.
        example: a valid value, shown in errors and in the documentation. {random} in it
            is replaced by a new random value in errors.
        required_in: modes that ignore the default and require a value.
        secret: True if the value must never be printed.
        reader: "backend" for variables that the application reads, "compose" for those that only
            Compose files and database containers read, "dev" for those that only ./dev reads.
        deployments: the DEPLOYMENTS it exists in. By default EVERYWHERE for "backend", LOCALLY
            for "dev", and for "compose" those whose Compose files name it.
        library: the package that reads it directly, if no code of the backend does.
        guards: True if it controls access or where data goes. Such a variable is not read from
            the parameter store outside production, where any program of the machine can write to
            the emulated store.
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
    guards: bool = False


PRODUCTION = frozenset({"production"})
LOCAL_KEY = "local-only-key-that-protects-nothing"

CONTRACT: tuple[Variable, ...] = (
    Variable(
        "DJANGO_SETTINGS_MODULE",
        "Django",
        "The settings module. Compose sets it; there is no default.",
        one_of(*SETTINGS.values()),
        default=None,
        example="core.settings.local",
        required_in=frozenset(MODES),
    ),
    Variable(
        "SECRET_KEY",
        "Django",
        "Signs sessions and tokens. The local default is public, so it protects nothing.",
        default=LOCAL_KEY,
        example="{random}",
        required_in=PRODUCTION,
        secret=True,
    ),
    Variable(
        "SECRET_KEY_FALLBACKS",
        "Django",
        "Further keys whose signatures are accepted, comma separated. `./dev rotate SECRET_KEY`\n"
        "writes it.",
        words,
        example="{random}",
        secret=True,
        deployments=PRODUCTION,
    ),
    Variable(
        "ALLOWED_HOSTS",
        "Django",
        "Accepted host names, comma separated; a leading dot includes subdomains.",
        words,
        default=".localhost,127.0.0.1,[::1],web",
        example="app.example.com,.app.example.com",
        required_in=PRODUCTION,
        guards=True,
    ),
    Variable(
        "CSRF_TRUSTED_ORIGINS",
        "Django",
        "Origins whose forms are accepted, with scheme, comma separated. The Codespaces proxy\n"
        "may send localhost instead of FORWARDED_HOST.",
        words,
        default="http://localhost:8000,https://localhost:8000",
        example="https://app.example.com",
        required_in=PRODUCTION,
        guards=True,
    ),
    Variable(
        "FORWARDED_HOST",
        "Django",
        "The host name of web in GitHub Codespaces, trusted besides ALLOWED_HOSTS, and with https\n"
        "besides CSRF_TRUSTED_ORIGINS. docker-compose.yml derives it from CODESPACE_NAME.",
        example="name-8000.app.github.dev",
        deployments=LOCALLY,
        guards=True,
    ),
    Variable(
        "CORS_ALLOWED_ORIGINS",
        "Django",
        "Origins whose pages may call the API from a browser, with scheme, comma separated.",
        words,
        default="http://localhost:3000,http://localhost:5173",
        example="https://www.example.com",
        guards=True,
    ),
    Variable(
        "PROXY_COUNT",
        "Django",
        "Number of proxies in front of web that add to X-Forwarded-For, to find the client's\n"
        "address for log-in limits; 0 trusts no header. 1 in production, for the TLS proxy.",
        whole_number(0, 9),
        default="0",
        example="1",
        guards=True,
    ),
    Variable(
        "PROXY_NETWORKS",
        "Django",
        "Networks of the nearest proxy. X-Forwarded-* headers from other addresses are not\n"
        "trusted. The default is every private network; name your proxy's network.",
        networks,
        default="127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7",
        example="10.0.1.0/24",
        guards=True,
    ),
    Variable(
        "DATABASE_URL",
        "Database",
        "PostgreSQL, with the log-in role: app for web and worker, app_owner for release and\n"
        "tests. A URL without a password uses APP_PASSWORD or APP_OWNER_PASSWORD.",
        database_url,
        default="postgres://app:app@127.0.0.1:5432/homeport",
        example="postgres://app:{random}@db.internal:5432/homeport",
        required_in=PRODUCTION,
        secret=True,
        guards=True,
    ),
    Variable(
        "APP_PASSWORD_FALLBACK",
        "Database",
        "Tried if the database refuses the password of DATABASE_URL, so that it can be changed\n"
        "while web and worker run. `./dev rotate APP_PASSWORD` writes it.",
        line,
        example="{random}",
        secret=True,
        deployments=PRODUCTION,
    ),
    Variable(
        "DATABASE_CONN_MAX_AGE",
        "Database",
        "Lifetime of a connection in seconds. Reuse saves about 8 ms for each request; the limit\n"
        "bounds a connection's memory, which grows with the tenants that it has served.",
        whole_number(0, 3600),
        default="300",
        example="300",
    ),
    Variable(
        "WEB_DATABASE_LIMITS",
        "Database",
        "Limits in seconds for a session of web: waiting for a lock, one statement, idle in a\n"
        "transaction; 0 is no limit. A request that exceeds one is answered with 503.",
        seconds_each("lock", "statement", "idle"),
        default="lock=2,statement=20,idle=30",
        example="lock=2,statement=20,idle=30",
    ),
    Variable(
        "WORKER_DATABASE_LIMITS",
        "Database",
        "The same for the worker; a task that exceeds the limit for locks is queued again.",
        seconds_each("lock", "statement", "idle"),
        default="lock=10,statement=240,idle=120",
        example="lock=10,statement=240,idle=120",
    ),
    Variable(
        "RELEASE_DATABASE_LIMITS",
        "Database",
        "The same for the release and other commands of manage.py. Waiting for a table's lock\n"
        "blocks all later sessions, so the release gives up and retries.",
        seconds_each("lock", "statement", "idle"),
        default="lock=5,statement=0,idle=0",
        example="lock=5,statement=0,idle=0",
    ),
    Variable(
        "REDIS_URL",
        "Redis",
        "Cache and sessions.",
        redis_url,
        default="redis://127.0.0.1:6379/0",
        example="rediss://:{random}@redis.internal:6379/0",
        required_in=PRODUCTION,
        secret=True,
        guards=True,
    ),
    Variable(
        "CELERY_BROKER_URL",
        "Redis",
        "Queues of background tasks.",
        redis_url,
        default="redis://127.0.0.1:6379/1",
        example="rediss://:{random}@redis.internal:6379/1",
        required_in=PRODUCTION,
        secret=True,
        guards=True,
    ),
    Variable(
        "CELERY_RESULT_BACKEND",
        "Redis",
        "Results of background tasks, kept for an hour.",
        redis_url,
        default="redis://127.0.0.1:6379/2",
        example="rediss://:{random}@redis.internal:6379/2",
        required_in=PRODUCTION,
        secret=True,
        guards=True,
    ),
    Variable(
        "SERVER",
        "Processes",
        "The web server: gunicorn, asgi (Gunicorn with async views and streams), or runserver\n"
        "with reload, which production refuses.",
        one_of("gunicorn", "asgi", "runserver"),
        default="gunicorn",
        example="asgi",
    ),
    Variable(
        "WEB_BIND",
        "Processes",
        "Address that web listens on inside its container or machine.",
        address,
        default="127.0.0.1:8000",
        example="0.0.0.0:8000",
    ),
    Variable(
        "WEB_PROBE_BIND",
        "Processes",
        "A second address, on which Gunicorn answers liveness probes without a thread, so that\n"
        "a web with many requests is not taken for dead. Empty: they are requests like others.",
        optional(address),
        example="0.0.0.0:8001",
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
        "Threads of each Gunicorn worker; under asgi, its database connections.",
        whole_number(1, 64),
        default="4",
        example="4",
    ),
    Variable(
        "WEB_KEEP_ALIVE",
        "Processes",
        "Seconds that web keeps an idle connection open. Must exceed the load balancer's idle\n"
        "timeout (60 at AWS), or requests race with the close and get 502.",
        whole_number(1, 4000),
        default="75",
        example="130",
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
        "File that the worker touches every few seconds; its health check reads the time.",
        default="/tmp/homeport-worker-heartbeat",
        example="/run/homeport/worker-heartbeat",
    ),
    Variable(
        "STACK_NAME",
        "Processes",
        "Name of this stack among those of the machine: in the names of cookies, which browsers\n"
        "share between ports, and on the workbench. Compose gives it the project's name.",
        stack_name,
        example="shop-my-branch",
        deployments=LOCALLY,
    ),
    Variable(
        "RELOAD",
        "Processes",
        "Whether Gunicorn and the worker reload after an edit; runserver always does.\n"
        "Refused in production.",
        boolean,
        default="false",
        example="true",
        deployments=LOCALLY,
    ),
    Variable(
        "DEBUGPY_PORT",
        "Processes",
        "Port of the debugger of web or worker. Empty: no debugger. Refused in production,\n"
        "because anyone who can reach it can run code.",
        optional(whole_number(1, 65535)),
        example="5678",
        deployments=LOCALLY,
    ),
    Variable(
        "DEBUGPY_HOST",
        "Processes",
        "Address that the debugger listens on. It has no password: use 0.0.0.0 only in a\n"
        "container whose port is not published, or published on loopback only.",
        default="127.0.0.1",
        example="0.0.0.0",  # noqa: S104
        deployments=LOCALLY,
    ),
    Variable(
        "LOG_FORMAT",
        "Logs",
        "json: one object on each line, as in production. console: coloured, for humans.",
        one_of("json", "console"),
        default="json",
        example="console",
    ),
    Variable(
        "LOG_LEVEL",
        "Logs",
        "Minimum level of log messages.",
        one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        default="INFO",
        example="DEBUG",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Traces and errors",
        "URL of a collector that takes traces and metrics by OTLP over HTTP, without /v1/traces.\n"
        "Empty: production traces nothing; a local stack shows its traces in the workbench alone.",
        optional(collector),
        example="http://collector.internal:4318",
        guards=True,
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Traces and errors",
        "Headers for the collector, NAME=VALUE, comma separated, e.g. its key.",
        headers,
        example="x-api-key={random}",
        secret=True,
        guards=True,
    ),
    Variable(
        "OTEL_TRACES_SAMPLER_ARG",
        "Traces and errors",
        "Share of requests, tasks and commands that are traced, from 0 to 1. Metrics count all.",
        share,
        default="1",
        example="0.1",
    ),
    Variable(
        "SENTRY_DSN",
        "Traces and errors",
        "Address that errors are reported to, of Sentry or a service that speaks its protocol.\n"
        "Empty: they are in the log alone.",
        optional(sentry_dsn),
        example="https://0123456789abcdef@sentry.example.com/1",
        secret=True,
        guards=True,
    ),
    Variable(
        "SINGLE_TENANT",
        "Tenants",
        "Name of the only tenant, if the product has no others: every host is its, and no host\n"
        "is the operators'. The release creates it.",
        optional(schema_name),
        example="acme",
        guards=True,
    ),
    Variable(
        "TENANT_BASE_DOMAIN",
        "Tenants",
        "Domain of the tenants: each is available at NAME.DOMAIN, a single one at DOMAIN.",
        default="localhost",
        example="app.example.com",
        required_in=PRODUCTION,
    ),
    Variable(
        "TENANT_DEFAULT",
        "Tenants",
        "Tenant for hosts without one (localhost, a Codespaces address). Refused in\n"
        "production, where an unknown host gets 404.",
        optional(schema_name),
        default="test1",
        example="test1",
        guards=True,
    ),
    Variable(
        "TENANT_HEADER",
        "Tenants",
        "Whether the X-Tenant header selects the tenant. Refused in production, where the host\n"
        "does.",
        boolean,
        default="true",
        example="true",
        guards=True,
    ),
    Variable(
        "OPERATIONS_HOST",
        "Tenants",
        "Host of the operators' admin, where tenants are managed. Empty: none.",
        default="public.localhost",
        example="operations.example.com",
        guards=True,
    ),
    Variable(
        "STATIC_ROOT",
        "Files",
        "Directory that collectstatic writes to.",
        default="/tmp/homeport/static",
        example="/data/static",
    ),
    Variable(
        "MEDIA_ROOT",
        "Files",
        "Directory for uploaded files if there is no bucket.",
        default="/tmp/homeport/media",
        example="/data/media",
    ),
    Variable(
        "EXPORT_ROOT",
        "Files",
        "Directory for the archives of exported tenants. Web must not have access, because they\n"
        "contain all tenants' data.",
        default="/tmp/homeport/exports",
        example="/data/exports",
    ),
    Variable(
        "EMAIL_URL",
        "E-mail",
        "Mail server; smtp+tls:// and smtp+ssl:// encrypt. consolemail:// writes messages to the\n"
        "worker's log.",
        email_url,
        default="consolemail://",
        example="smtp+tls://USER:{random}@smtp.example.com:587",
        required_in=PRODUCTION,
        secret=True,
        guards=True,
    ),
    Variable(
        "EMAIL_FROM",
        "E-mail",
        "Sender of every message.",
        default="Homeport <shop@localhost>",
        example="Example <shop@example.com>",
    ),
    Variable(
        "AWS_DEFAULT_REGION",
        "AWS",
        "Region of all AWS resources. A wrong region gives empty results instead of errors.",
        region,
        default="eu-west-1",
        example="us-east-1",
    ),
    Variable(
        "AWS_ACCESS_KEY_ID",
        "AWS",
        "Key for the emulators, always test: they check signatures only for it. In the cloud\n"
        "there is none; the task's role provides temporary keys.",
        example="test",
        library="boto3",
    ),
    Variable(
        "AWS_SECRET_ACCESS_KEY",
        "AWS",
        "The secret of that key, also test.",
        example="test",
        secret=True,
        library="boto3",
    ),
    Variable(
        "AWS_ENDPOINT_URL",
        "AWS",
        "URL of the AWS emulator. Empty: the cloud.",
        optional(endpoint),
        example="http://localstack:4566",
        deployments=LOCALLY,
    ),
    Variable(
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
        "AWS",
        "URL of the Cognito emulator. Empty: AWS_ENDPOINT_URL.",
        optional(endpoint),
        library="boto3",
        example="http://cognito:5000",
        deployments=LOCALLY,
    ),
    Variable(
        "AWS_S3_PUBLIC_ENDPOINT_URL",
        "AWS",
        "URL of the emulated S3 for browsers, because a presigned URL is valid for one host only.\n"
        "In Codespaces the forwarded address of port 4566. Empty: AWS_ENDPOINT_URL.",
        optional(endpoint),
        example="https://NAME-4566.app.github.dev",
        deployments=LOCALLY,
    ),
    Variable(
        "AWS_STORAGE_BUCKET_NAME",
        "AWS",
        "Bucket for uploaded files. Empty: the directory MEDIA_ROOT.",
        optional(bucket_name),
        example="homeport-local",
    ),
    Variable(
        "AWS_EC2_METADATA_DISABLED",
        "AWS",
        "Prevents boto3 from querying the EC2 metadata service, which hangs outside AWS.",
        boolean,
        default="false",
        example="true",
        deployments=LOCALLY,
    ),
    Variable(
        "SSM_PARAMETER_PATH",
        "Parameters and tokens",
        "Path in SSM Parameter Store: PATH/NAME sets the variable NAME if nothing else does.\n"
        "Empty: not used, as on ECS, whose task definitions name their parameters.",
        optional(parameter_path),
        example="/homeport/local",
    ),
    Variable(
        "API_TOKENS",
        "Parameters and tokens",
        "Tokens that the API accepts: its own (local), or also those of a Cognito user pool.",
        one_of("local", "local,cognito"),
        default="local",
        example="local,cognito",
        guards=True,
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
        "The pool's app client that tokens must be issued for.",
        example="7lhlkkfbfb4q5kpp90urffao",
    ),
    Variable(
        "DEV_ENGINE",
        "Front door",
        "The engine that runs the stack: compose, embedded (without Docker), or auto: Compose if\n"
        "the Docker daemon answers.",
        default="auto",
        example="embedded",
        reader="dev",
    ),
    Variable(
        "COMPOSE_PROJECT_NAME",
        "Compose",
        "Name of the stack, unique for each checkout on a machine. Empty: the name of the\n"
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
        "POOL_PORT",
        "Compose",
        "Port of 127.0.0.1 that the connection pool is published on.",
        default="6432",
        example="6433",
        reader="compose",
    ),
    Variable(
        "DATABASE_SERVER",
        "Compose",
        "Where web and worker connect to: the database, or with COMPOSE_PROFILES=pool the\n"
        "connection pool. The release always connects to the database itself.",
        default="db:5432",
        example="pool:6432",
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
        "Port of 127.0.0.1 that the emulated Cognito is published on. macOS uses 5000.",
        default="5050",
        example="5051",
        reader="compose",
    ),
    Variable(
        "WEB_DEBUG_PORT",
        "Compose",
        "Port of 127.0.0.1 for the debugger of web: published by docker-compose.debug.yml, or\n"
        "used directly without Docker.",
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
        "LOCALSTACK_IMAGE",
        "Compose",
        "Image that emulates S3 and Parameter Store. Later LocalStack images need a token.",
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
        "BACKEND_IMAGE",
        "Compose",
        "Name of the application's image in docker-compose.prod.yml, built or pulled.",
        default="homeport-backend:production",
        example="registry.example.com/homeport-backend:2026-11-20",
        reader="compose",
    ),
    Variable(
        "GIT_HISTORY",
        "Compose",
        "Where git keeps the history of this checkout, if it is a work tree or a submodule. It is\n"
        "mounted in the dev container; .devcontainer/initialize sets it.",
        default="./.devcontainer",
        example="/home/you/shop/.git",
        reader="compose",
    ),
    Variable(
        "GIT_HISTORY_INSIDE",
        "Compose",
        "Where the dev container mounts GIT_HISTORY: the place that .git names.",
        default="/app/.devcontainer",
        example="/home/you/shop/.git",
        reader="compose",
    ),
    Variable(
        "GIT_SUBMODULE",
        "Compose",
        "The mount of a .git that names GIT_HISTORY_INSIDE, if this checkout is a submodule;\n"
        "also set by .devcontainer/initialize.",
        default="./.vscode:/app/.vscode",
        example="./.dev/submodule.git:/app/.git",
        reader="compose",
    ),
    Variable(
        "APP_UID",
        "Compose",
        "User id of the application in the image. ./dev sets yours, so that you own files that\n"
        "it writes into the checkout.",
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
        "CPU limit of web; also determines the number of Gunicorn workers.",
        default="1.0",
        example="2.0",
        reader="compose",
    ),
    Variable(
        "WORKER_CPUS",
        "Compose",
        "CPU limit of the worker.",
        default="1.0",
        example="2.0",
        reader="compose",
    ),
    Variable(
        "DB_CPUS",
        "Compose",
        "CPU limit of PostgreSQL in docker-compose.prod.yml.",
        default="1.0",
        example="4.0",
        reader="compose",
    ),
    Variable(
        "DB_MEMORY",
        "Compose",
        "Memory limit of PostgreSQL in docker-compose.prod.yml.",
        default="1G",
        example="8G",
        reader="compose",
    ),
    Variable(
        "WEB_REPLICAS",
        "Compose",
        "Number of web containers in docker-compose.prod.yml. More than one needs WEB_PORT=0\n"
        "and a proxy that discovers them.",
        whole_number(0, 20),
        default="1",
        example="3",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "WORKER_REPLICAS",
        "Compose",
        "Number of worker containers in docker-compose.prod.yml.",
        whole_number(0, 20),
        default="1",
        example="3",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "POSTGRES_PASSWORD",
        "Compose",
        "Password of the database's superuser. A change takes effect when the database restarts.",
        line,
        default="postgres",
        example="{random}",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "APP_PASSWORD",
        "Compose",
        "Password of the role app if DATABASE_URL has none; any characters, in single quotes.\n"
        "A change takes effect when the database restarts.",
        line,
        default="app",
        example="{random}",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "APP_OWNER_PASSWORD",
        "Compose",
        "The same for the role app_owner.",
        line,
        default="app_owner",
        example="{random}",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "REDIS_PASSWORD",
        "Compose",
        "Password of Redis in docker-compose.prod.yml. The local stack uses none.",
        line,
        example="{random}",
        required_in=PRODUCTION,
        secret=True,
        reader="compose",
    ),
    Variable(
        "PUBLISH_ADDRESS",
        "Compose",
        "Address of the machine on which docker-compose.prod.yml publishes web. The default fits\n"
        "a reverse proxy on the same machine; web does not support TLS.",
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
        "Port on which that proxy redirects to https://.",
        default="8080",
        example="80",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "PROXY_HTTPS_PORT",
        "Compose",
        "Port on which that proxy terminates TLS.",
        default="8443",
        example="443",
        reader="compose",
        deployments=PRODUCTION,
    ),
    Variable(
        "PROXY_KEEP_ALIVE",
        "Compose",
        "Seconds that proxy keeps an idle connection open. Must be longer than the idle timeout\n"
        "of a load balancer in front of it, or a request can race with the close.",
        whole_number(1, 3600),
        default="10",
        example="75",
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
)

GUESSABLE = "has a guessable password: fewer than 16 characters, or fewer than 8 different ones"
# The variable with a role's password, for URLs that name the role without a password. Unlike in a
# URL, it needs no encoding, which Compose could not do.
PASSWORDS = {
    "app": "APP_PASSWORD",
    "app_owner": "APP_OWNER_PASSWORD",
    "default": "REDIS_PASSWORD",  # Redis's default user
}


def _guessable(password: str | None) -> bool:
    return len(password or "") < 16 or len(set(password or "")) < 8


def _redis_guessable(url: str) -> bool:
    return _guessable(urlsplit(url).password)


def _too_wide(host: str) -> bool:
    """Whether a pattern covers a whole top-level domain: *, .com, *.com.

    Except localhost, whose names always resolve to the machine itself (RFC 6761).
    """
    name = host.lstrip("*.").partition(":")[0]
    covers_subdomains = host.startswith((".", "*."))
    return host == "*" or (covers_subdomains and "." not in name and name != "localhost")


def _not_https(origin: str) -> bool:
    return not origin.startswith("https://")


def _public(network: IPv4Network | IPv6Network) -> bool:
    """Whether a network is wider than any private one."""
    return network.prefixlen < (8 if network.version == 4 else 7)


def _unencrypted(url: dict[str, Any]) -> bool:
    """Whether mail is sent unencrypted; hosts without a dot are in the local network."""
    host = url["EMAIL_HOST"] or ""
    encrypted = url.get("EMAIL_USE_TLS") or url.get("EMAIL_USE_SSL")
    return "smtp" in url["EMAIL_BACKEND"] and not encrypted and "." in host.replace("127.0.0.1", "")


# Valid values that production refuses: (variable, is it refused?, reason).
Refusal = tuple[str, Callable[[Any], bool], str]
REFUSED_IN_PRODUCTION: tuple[Refusal, ...] = (
    ("SECRET_KEY", lambda key: len(key) < 50, "is shorter than 50 characters"),
    ("SECRET_KEY", lambda key: len(set(key)) < 10, "repeats a few characters"),
    ("SECRET_KEY", lambda key: LOCAL_KEY in key, "contains the local key, which is public"),
    (
        "SECRET_KEY",
        lambda key: key.startswith("$("),
        "is a command that was not expanded by a shell",
    ),
    (
        "SECRET_KEY",
        lambda key: key.startswith("django-insecure-"),
        "begins with django-insecure-, which marks a public key",
    ),
    (
        "SECRET_KEY_FALLBACKS",
        lambda keys: any(len(key) < 50 or LOCAL_KEY in key for key in keys),
        "has a key that is shorter than 50 characters or public",
    ),
    ("ALLOWED_HOSTS", lambda hosts: any(map(_too_wide, hosts)), "answers to any name"),
    (
        "CSRF_TRUSTED_ORIGINS",
        lambda origins: any(map(_not_https, origins)),
        "names an origin without https://",
    ),
    (
        "CSRF_TRUSTED_ORIGINS",
        lambda origins: any(_too_wide(origin.partition("://")[2]) for origin in origins),
        "trusts every site of a top-level domain",
    ),
    (
        "CORS_ALLOWED_ORIGINS",
        lambda origins: any(_not_https(origin) or "*" in origin for origin in origins),
        "names an origin without https://, or any",
    ),
    (
        "PROXY_NETWORKS",
        lambda networks: any(map(_public, networks)),
        "believes X-Forwarded-* headers of the public internet",
    ),
    ("DATABASE_URL", lambda url: _guessable(url.get("PASSWORD")), GUESSABLE),
    (
        "DATABASE_URL",
        lambda url: url.get("USER") == "postgres",
        "logs in as the superuser, who sees every tenant",
    ),
    *(
        (name, _redis_guessable, GUESSABLE)
        for name in ("REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND")
    ),
    ("POSTGRES_PASSWORD", _guessable, GUESSABLE),
    ("APP_PASSWORD", _guessable, GUESSABLE),
    ("APP_OWNER_PASSWORD", _guessable, GUESSABLE),
    ("REDIS_PASSWORD", _guessable, GUESSABLE),
    (
        "EMAIL_URL",
        lambda url: "console" in url["EMAIL_BACKEND"],
        "only writes messages to the log",
    ),
    ("EMAIL_URL", _unencrypted, "sends messages and password in the clear"),
    ("SERVER", lambda server: server == "runserver", "is a development server"),
    ("RELOAD", bool, "restarts the server when a file changes"),
    ("DEBUGPY_PORT", bool, "lets anyone who can reach it run code"),
    ("TENANT_HEADER", bool, "lets any client choose its tenant"),
    ("TENANT_DEFAULT", bool, "gives an unknown host a tenant"),
)
# Values that production also refuses in web and worker, which must not have the owner's rights.
REFUSED_WHERE_SERVED: tuple[Refusal, ...] = (
    (
        "DATABASE_URL",
        lambda url: url.get("USER") == "app_owner",
        "logs web or worker in as app_owner, which is only for the release",
    ),
)
# Variables that a value of another requires: (variable, does it require them?, the others).
REQUIRED_WITH: tuple[tuple[str, Callable[[Any], bool], tuple[str, ...]], ...] = (
    (
        "API_TOKENS",
        lambda issuers: "cognito" in issuers,
        ("COGNITO_USER_POOL_ID", "COGNITO_APP_CLIENT_ID"),
    ),
)
# Local conveniences, which are off in production by default.
PRODUCTION_DEFAULTS = {
    "TENANT_HEADER": "false",
    "TENANT_DEFAULT": "",
    "OPERATIONS_HOST": "",
    "CORS_ALLOWED_ORIGINS": "",
    "PROXY_COUNT": "1",
}
