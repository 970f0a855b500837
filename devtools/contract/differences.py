"""Every intended difference between the local stack and production, with its reason.

`./dev parity` prints them with both values. It fails for a difference that is listed neither here
nor in `x-differs` of the service.
"""

from __future__ import annotations

from typing import NamedTuple


class Declared(NamedTuple):
    """Services and aspects as `./dev parity` names them; both may be shell patterns."""

    service: str
    aspect: str
    reason: str


CODE_IS_MOUNTED = "locally the checkout is mounted, so that edits need no build"
SETTINGS = "debug mode and its tools are local; production's settings reject them"
HARDENED = "production is hardened; locally debuggers and builds need to write"
SECRETS = "local passwords are public; production has no defaults for them"
ONLY_HERE = "only for development"
ONLY_THERE = "stops production's start before an invalid environment affects the data"
EMULATED = "AWS is emulated locally; production uses AWS, or keeps files in a volume"
TLS = "nothing is encrypted locally; in production any proxy can replace it"
REACH = "development tools connect to every service; in production only the proxy connects, to web"
ALWAYS_ON = "production restarts after a reboot or a crash"
LOAD = "production handles more load, and limits each container"
IN_ORDER = "production finishes running work; development stops faster"

DIFFERENCES: tuple[Declared, ...] = (
    Declared("*", "stage", CODE_IS_MOUNTED),
    Declared("*", "volumes", CODE_IS_MOUNTED),
    Declared(
        "*", "env_file", "`.env` is for developers; production lists each variable it passes on"
    ),
    Declared("*", "variable DJANGO_SETTINGS_MODULE", SETTINGS),
    Declared("test", "service", ONLY_HERE),
    Declared("image", "service", "production builds its image once and refers to it by name"),
    Declared("localstack", "service", EMULATED),
    Declared("cognito", "service", EMULATED),
    Declared("*", "variable AWS_*", EMULATED),
    Declared("*", "variable SSM_PARAMETER_PATH", EMULATED),
    Declared("*", "variable API_TOKENS", "the emulated pool is enabled; yours is opt-in"),
    Declared("check", "service", ONLY_THERE),
    Declared("proxy", "service", TLS),
    Declared("pool", "variable APP_PASSWORD", SECRETS),
    Declared("*", "depends_on", ONLY_THERE),
    Declared("*", "cap_drop", HARDENED),
    Declared("*", "read_only", HARDENED),
    Declared("*", "security_opt", HARDENED),
    Declared("*", "tmpfs", HARDENED),
    Declared("*", "user", HARDENED),
    Declared("db", "variable OMIT_SAMPLE_TENANTS", "the sample tenants are local"),
    Declared("db", "variable *PASSWORD", SECRETS),
    Declared("redis", "variable *", SECRETS),
    Declared("redis", "command", SECRETS),
    Declared("redis", "entrypoint", SECRETS),
    Declared("redis", "health check", SECRETS),
    Declared("*", "variable REDIS_URL", SECRETS),
    Declared("*", "variable CELERY_*", SECRETS),
    Declared("*", "networks", REACH),
    Declared("*", "ports", REACH),
    Declared("*", "restart", ALWAYS_ON),
    Declared("web", "variable WEB_PROBE_BIND", LOAD),
    Declared("*", "limit *", LOAD),
    Declared("db", "shm_size", LOAD),
    Declared("*", "stop_grace_period", IN_ORDER),
    Declared("db", "stop_signal", IN_ORDER),
)
