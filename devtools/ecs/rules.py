"""Values of a Compose file that work with Docker, and that Fargate or production must not have.

AWS accepts most of them at registration, and fails at the start or stop of the task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Container = Mapping[str, Any]

_SHORTEST_STOP = 2  # seconds
_HEALTH_CHECK = {
    "interval": (5, 300),
    "timeout": (2, 60),
    "retries": (1, 10),
    "startPeriod": (0, 300),
}


def broken(container: Container) -> list[str]:
    """Every rule that `container` of a task violates, in sentences that begin with the key."""
    return [said for rule in (_safety, _timing, _limits) for said in rule(container)]


def _safety(container: Container) -> Iterator[str]:
    if str(container.get("user", "")).partition(":")[0] in ("", "0", "root"):
        yield "user: it would run as root"
    if container.get("readonlyRootFilesystem") is not True:
        yield "readonlyRootFilesystem: it could write into its image"


def _timing(container: Container) -> Iterator[str]:
    stop = container["stopTimeout"]
    if stop < _SHORTEST_STOP:
        yield f"stopTimeout: at least {_SHORTEST_STOP} seconds on Fargate, not {stop}"
    check = container.get("healthCheck", {})
    for key, (least, most) in _HEALTH_CHECK.items():
        if not least <= check.get(key, least) <= most:
            yield f"healthCheck: {key} is {least} to {most}, not {check[key]}"


def _limits(container: Container) -> Iterator[str]:
    for limit in container.get("ulimits", ()):
        if limit["name"] != "nofile":
            yield f"ulimits: Fargate supports only nofile, not {limit['name']}"
