"""Every difference between the local stack and production that is meant, with its reason.

`./dev parity` prints them with both values. One that is not listed here fails it, and so does an
entry that no longer differs.
"""

from __future__ import annotations

from typing import NamedTuple


class Declared(NamedTuple):
    """Services and aspects as `./dev parity` names them; both may be shell patterns."""

    service: str
    aspect: str
    reason: str


CODE_IS_MOUNTED = "locally the checkout is mounted, so that an edit needs no build"
SETTINGS = "debug mode and its tools are local; production's settings refuse them"
HARDENED = "production is attacked; locally a debugger and a build must be able to write"
SECRETS = "local passwords are public; production's are given by its user and have no default"
ONLY_HERE = "serves development alone"
ONLY_THERE = "ends production's start before a bad environment reaches the data"
EMULATED = "AWS is emulated here; production asks the real one, or keeps files in a volume"
TLS = "locally nothing is encrypted; any proxy may take its place in production"
REACH = "a developer's tools connect to every service; in production only the proxy does, to web"
ALWAYS_ON = "production comes back after a reboot, whatever stopped it"
LOAD = "production carries more, and bounds what one container may take from the others"
IN_ORDER = "production lets what was begun end; a developer does not wait for it"

DIFFERENCES: tuple[Declared, ...] = (
    Declared("*", "stage", CODE_IS_MOUNTED),
    Declared("*", "volumes", CODE_IS_MOUNTED),
    Declared(
        "*", "env_file", "`.env` is a developer's; production names each variable it passes on"
    ),
    Declared("*", "variable DJANGO_SETTINGS_MODULE", SETTINGS),
    Declared("test", "service", ONLY_HERE),
    Declared("image", "service", "production's image is built once and then given by its name"),
    Declared("localstack", "service", EMULATED),
    Declared("cognito", "service", EMULATED),
    Declared("*", "variable AWS_*", EMULATED),
    Declared("*", "variable SSM_PARAMETER_PATH", EMULATED),
    Declared("*", "variable API_TOKENS", "the emulated pool is there to be tried; yours is named"),
    Declared("check", "service", ONLY_THERE),
    Declared("proxy", "service", TLS),
    Declared("*", "depends_on", ONLY_THERE),
    Declared("*", "cap_drop", HARDENED),
    Declared("*", "read_only", HARDENED),
    Declared("*", "security_opt", HARDENED),
    Declared("*", "tmpfs", HARDENED),
    Declared("*", "user", HARDENED),
    Declared("db", "variable OMIT_SAMPLE_TENANTS", "test1 and test2 are for trying things out"),
    Declared("db", "variable *PASSWORD", SECRETS),
    Declared("redis", "variable *", SECRETS),
    Declared("redis", "command", SECRETS),
    Declared("redis", "entrypoint", SECRETS),
    Declared("*", "variable REDIS_URL", SECRETS),
    Declared("*", "variable CELERY_*", SECRETS),
    Declared("*", "networks", REACH),
    Declared("*", "ports", REACH),
    Declared("*", "restart", ALWAYS_ON),
    Declared("*", "limit *", LOAD),
    Declared("db", "shm_size", LOAD),
    Declared("*", "stop_grace_period", IN_ORDER),
    Declared("db", "stop_signal", IN_ORDER),
)
