"""Settings shared by every mode, by subject. Values that differ come from the contract."""

from pathlib import Path
from typing import Any

from celery.schedules import crontab
from corsheaders.defaults import default_headers

from core.database_limits import connection_options
from core.env import environment
from core.logging import logging_config

env = environment()

BASE_DIR = Path(__file__).resolve().parent.parent.parent

# --- Django -------------------------------------------------------------------------------
# https://docs.djangoproject.com/en/5.2/ref/settings/

SECRET_KEY = env["SECRET_KEY"]
SECRET_KEY_FALLBACKS = env["SECRET_KEY_FALLBACKS"]
DEBUG = False
ALLOWED_HOSTS = env["ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS = env["CSRF_TRUSTED_ORIGINS"]
if env["FORWARDED_HOST"]:
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, env["FORWARDED_HOST"]]
    CSRF_TRUSTED_ORIGINS = [*CSRF_TRUSTED_ORIGINS, f"https://{env['FORWARDED_HOST']}"]
WSGI_APPLICATION = "core.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Applications -------------------------------------------------------------------------
# https://django-tenants.readthedocs.io/en/latest/install.html
# Both lists hold the accounts: operators' live in public, a tenant's in its own schema.

ACCOUNT_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "core.apps.AdminConfig",
    "users",
]
SHARED_APPS = [
    "tenants",  # before django_tenants: its commands replace those of the same name
    "core",
    "core.apps.AdminConfig",  # before django_tenants, whose pages of the admin style in place
    "django_tenants",
    *(app for app in ACCOUNT_APPS if app != "core.apps.AdminConfig"),
    "django.contrib.messages",
    "django.contrib.postgres",  # Django 6.1 checks that its fields and indexes have it
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "django_structlog",
    "cloud",
]
# The product. Each has its tables in every tenant, and its urls.py below /api/v1/NAME/.
PRODUCT_APPS: list[str] = [
    # in the order of their imports
    # sample: begin
    "products",
    "cart",
    "orders",
    "tickets",
    # sample: end
]
TENANT_APPS = [*ACCOUNT_APPS, *PRODUCT_APPS]
INSTALLED_APPS = list(dict.fromkeys(SHARED_APPS + TENANT_APPS))

# Masks passwords inside URLs, too, on error pages and in the debug toolbar.
DEFAULT_EXCEPTION_REPORTER_FILTER = "core.redaction.SafeReporterFilter"

# What messages tell their reader to run. Local settings name the commands of a checkout.
REMEDIES = {
    "manage": "manage.py",
    "migrate": "run: bin/release",
    "restart": "restart web and worker",
    "migrations ahead": "deploy the release that has them",
    "database": "see whether it runs and can be reached, and its log",
    "extension": "install it on the server",
    "password": "set the role's configured password; each start of db does that",
    "code": "in a checkout; the code of this image cannot be changed",
    "worker": "see its log",
    "test": "pytest, in a checkout",
    "testserver": "a checkout",
}

# --- HTTP ---------------------------------------------------------------------------------

HEALTH_PATH = "/api/v1/health/"
HEALTH_REMEMBERED = 0  # seconds that an answer is given again
HEALTH_DETAIL = True  # whether anybody sees what is wrong with each dependency
MIDDLEWARE = [
    "core.request_log.RequestLogMiddleware",
    "core.middleware.ProbeHostMiddleware",
    "core.middleware.HostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "core.middleware.BodyLimitMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "tenants.middleware.TenantMiddleware",
    "core.middleware.TenantOnlyMiddleware",
    "core.middleware.UnavailableMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "core.urls"
CSRF_FAILURE_VIEW = "core.errors.handlers.csrf_failure"
REQUEST_BODY_LIMIT = 20 * 1024 * 1024  # bytes; holds several uploaded files

# https://github.com/adamchainz/django-cors-headers#configuration
CORS_ALLOWED_ORIGINS = env["CORS_ALLOWED_ORIGINS"]
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key", "x-tenant"]
CORS_EXPOSE_HEADERS = ["x-request-id"]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Database -----------------------------------------------------------------------------
# https://docs.djangoproject.com/en/5.2/ref/databases/#postgresql-notes

DATABASES = {
    "default": {
        **env["DATABASE_URL"],
        "ENGINE": "tenants.postgresql",
        "PASSWORD_FALLBACK": env["APP_PASSWORD_FALLBACK"],
        "CONN_MAX_AGE": env["DATABASE_CONN_MAX_AGE"],
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # Of web and worker their own: core/wsgi.py, core/celery/application.py.
            "options": connection_options(env["RELEASE_DATABASE_LIMITS"]),
            "connect_timeout": 3,
            # A server whose machine or network is gone says nothing: notice it within seconds.
            "tcp_user_timeout": 10_000,  # milliseconds
            "keepalives_idle": 10,  # seconds, as the next two
            "keepalives_interval": 3,
            "keepalives_count": 3,
        },
    }
}
# PostgreSQL's extensions that models use, e.g. "pg_trgm". A release makes them in a schema
# that every tenant finds: docs/tenants.md. A plain list of names, because ./dev reads it, too.
POSTGRES_EXTENSIONS: list[str] = []
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]

# --- Tenants ------------------------------------------------------------------------------

TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_COLOR_ADMIN_APPS = False  # nearly every application of the admin would be green
SINGLE_TENANT = env["SINGLE_TENANT"]
TENANT_BASE_DOMAIN = env["TENANT_BASE_DOMAIN"]
TENANT_DEFAULT = env["TENANT_DEFAULT"]
TENANT_HEADER = env["TENANT_HEADER"]
TENANT_COOKIE_NAME = "tenant"  # of tenants.views.choose
STACK_NAME = env["STACK_NAME"]
OPERATIONS_HOST = env["OPERATIONS_HOST"]
# Answered without a tenant, so that they work when the database does not; patterns of a path's
# beginning. The choice of a tenant lists them all, which no tenant's role may.
TENANT_FREE_PATHS = [HEALTH_PATH, "/choose-tenant/"]
TENANT_FREE_COMMANDS: list[str] = []  # of manage.py, beside those of tenants/command_line.py

# --- Cache and sessions -------------------------------------------------------------------
# https://docs.djangoproject.com/en/5.2/topics/cache/#redis

CACHES = {
    "default": {
        "BACKEND": "core.redis_cache.RedisCache",
        "LOCATION": env["REDIS_URL"],
        # Every key carries the tenant, or one tenant reads another's entries and sessions.
        "KEY_FUNCTION": "tenants.cache.make_key",
        "OPTIONS": {
            "pool_class": "core.redis_pool.Pool",
            "socket_connect_timeout": 1,
            "socket_timeout": 2,
        },
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"

# --- Accounts -----------------------------------------------------------------------------

AUTH_USER_MODEL = "users.User"
# Of models in packages; others have the attribute `personal_data`. What replaces each field in a
# masked copy of the database: docs/data.md
PERSONAL_DATA: dict[str, dict[str, str]] = {
    "admin.LogEntry": {"object_repr": "text", "change_message": "empty"},
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- API ----------------------------------------------------------------------------------
# https://www.django-rest-framework.org/api-guide/settings/

# Cognito's is asked first: it leaves alone what does not claim to be its pool's, while the local
# one refuses messages that it has not signed.
AUTHENTICATION_CLASSES = {
    "cognito": "users.authentication.CognitoAuthentication",
    "local": "users.authentication.LocalAuthentication",
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        path for issuer, path in AUTHENTICATION_CLASSES.items() if issuer in env["API_TOKENS"]
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "core.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "core.parsers.MultiPartParser",
    ],
    "DEFAULT_PAGINATION_CLASS": "core.pagination.Pagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "core.errors.handlers.api_exception_handler",
    # Slow enough that guessing a password is hopeless: users/throttling.py.
    "DEFAULT_THROTTLE_RATES": {"client": "60/min", "account": "10/min", "strangers": "30/min"},
    # Which address of X-Forwarded-For is the client's; the others anyone may write.
    "NUM_PROXIES": env["PROXY_COUNT"],
}

# https://drf-spectacular.readthedocs.io/en/latest/settings.html
SPECTACULAR_SETTINGS = {
    "TITLE": "Homeport",
    "DESCRIPTION": "The API of one tenant.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": r"/api/v1/",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "COMPONENT_SPLIT_REQUEST": True,
    # sample: begin
    "ENUM_NAME_OVERRIDES": {
        "OrderStatus": "orders.models.Order.Status",
        "TicketStatus": "tickets.models.Ticket.Status",
    },
    # sample: end
    "PREPROCESSING_HOOKS": ["core.schema.only_the_newest_version"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "core.schema.document_errors",
        "core.schema.describe_health",
    ],
    # No page asks another host.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Tokens -------------------------------------------------------------------------------
# https://django-rest-framework-simplejwt.readthedocs.io/en/latest/settings.html

SIMPLE_JWT = {
    "AUTH_TOKEN_CLASSES": ["users.tokens.AccessToken"],
    "USER_ID_FIELD": "identity",  # an id may be given again
    "TOKEN_OBTAIN_SERIALIZER": "users.serializers.LogInSerializer",
    "TOKEN_REFRESH_SERIALIZER": "users.serializers.RefreshSerializer",
    "UPDATE_LAST_LOGIN": True,
    # Seconds that the clocks of two webs may differ; as those of AWS: cloud/cognito.py.
    "LEEWAY": 30,
}

# Of a user pool on AWS, where API_TOKENS says so: docs/cognito.md
COGNITO_USER_POOL_ID = env["COGNITO_USER_POOL_ID"]
COGNITO_APP_CLIENT_ID = env["COGNITO_APP_CLIENT_ID"]

# --- Language and time --------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Files --------------------------------------------------------------------------------
# https://whitenoise.readthedocs.io/en/stable/django.html

STATIC_URL = "/static/"
STATIC_ROOT = env["STATIC_ROOT"]
MEDIA_URL = "/media/"
MEDIA_ROOT = env["MEDIA_ROOT"]
EXPORT_ROOT = env["EXPORT_ROOT"]
# https://django-storages.readthedocs.io/en/1.14.6/backends/amazon-S3.html
AWS_DEFAULT_REGION = env["AWS_DEFAULT_REGION"]
AWS_STORAGE_BUCKET_NAME = env["AWS_STORAGE_BUCKET_NAME"]
S3_STORAGE = {
    "BACKEND": "cloud.storage.TenantS3Storage",
    "OPTIONS": {
        "bucket_name": AWS_STORAGE_BUCKET_NAME,
        "region_name": AWS_DEFAULT_REGION,
        # Emulators know a bucket by its path, the cloud by its host name.
        "addressing_style": "path" if env["AWS_ENDPOINT_URL"] else "virtual",
        "public_endpoint_url": env["AWS_ENDPOINT_URL"] and env["AWS_S3_PUBLIC_ENDPOINT_URL"],
    },
}
STORAGES: dict[str, dict[str, Any]] = {
    # Each tenant has its own directory of files, which paths cannot leave.
    "default": {"BACKEND": "tenants.storage.TenantFileSystemStorage"},
    # Names carry a hash of the content, so browsers may keep files for ever.
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if AWS_STORAGE_BUCKET_NAME:
    STORAGES["default"] = S3_STORAGE

WHITENOISE_KEEP_ONLY_HASHED_FILES = True  # nothing asks for the others, and they are half

# --- E-mail -------------------------------------------------------------------------------

DEFAULT_FROM_EMAIL = env["EMAIL_FROM"]
EMAIL_BACKEND = env["EMAIL_URL"]["EMAIL_BACKEND"]
EMAIL_HOST = env["EMAIL_URL"]["EMAIL_HOST"] or "localhost"
EMAIL_PORT = env["EMAIL_URL"]["EMAIL_PORT"] or 25
EMAIL_HOST_USER = env["EMAIL_URL"]["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = env["EMAIL_URL"]["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS = env["EMAIL_URL"].get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env["EMAIL_URL"].get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10  # seconds; a row may be locked while a message about it is sent

# --- Background tasks ---------------------------------------------------------------------
# https://docs.celeryq.dev/en/stable/userguide/configuration.html

CELERY_BROKER_URL = env["CELERY_BROKER_URL"]
CELERY_RESULT_BACKEND = env["CELERY_RESULT_BACKEND"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_RESULT_EXPIRES = 3600
# A task is done when it has ended, not when it was taken: a killed worker's tasks run again.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 270
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Never: CONN_MAX_AGE and a check at each task say when, as for requests.
CELERY_DB_REUSE_MAX = 10**9
# A remembered tenant is asked of the database once more as its task begins.
CELERY_TASK_TENANT_CACHE_SECONDS = 5
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Never: a task may wait for its countdown as long as it says. What a dead worker had taken is
    # given back when its lease has ended: core/celery/requeue.py.
    "visibility_timeout": 100 * 365 * 86400,
    "socket_connect_timeout": 2,
    # A broker that hangs must not hold up the request that sends a task.
    "socket_timeout": 3,
    "socket_keepalive": True,
}
# Someone waits for the request that sends a task: give up after about a second.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.2, "interval_max": 0.5}
# What runs at which time, by the name of the task: in every active tenant, in those that
# `tenant_schemas` lists, or once outside of any with ["public"]: docs/tasks.md
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "core.celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "orders.send_missing_confirmations": {"schedule": crontab(minute="*/30")},  # sample: line
    "users.remove_expired_log_ins": {"schedule": crontab(minute=15), "tenant_schemas": ["public"]},
}
# Logs are configured once, by Django.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False

# --- Traces and error reports ---------------------------------------------------------------
# core/tracing; docs/traces.md

TRACES_ENDPOINT = env["OTEL_EXPORTER_OTLP_ENDPOINT"]
TRACES_HEADERS = env["OTEL_EXPORTER_OTLP_HEADERS"]
TRACES_SHARE = env["OTEL_TRACES_SAMPLER_ARG"]
TRACES_SERVICE = "homeport"  # web is homeport-web, and so on
TRACES_EXCLUDED = [HEALTH_PATH, "/static/"]  # patterns of a path's beginning: asked for ever
TRACED = bool(TRACES_ENDPOINT)
SENTRY_DSN = env["SENTRY_DSN"]

# --- Logs ---------------------------------------------------------------------------------
# https://django-structlog.readthedocs.io/en/latest/configuration.html

LOGGING = logging_config(env["LOG_FORMAT"], env["LOG_LEVEL"])
DJANGO_STRUCTLOG_CELERY_ENABLED = True
# A stream has one line, when it ends; so has a request: core/request_log.py.
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10  # DEBUG
