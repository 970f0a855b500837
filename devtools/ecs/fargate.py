"""What Fargate runs: the sizes of its tasks, and the values that a container must have.

A Compose file may have others, which work with Docker. AWS accepts most of them at registration,
and fails at the start or stop of the task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..declared.compose import size

# CPU units (1024 are one CPU) and the allowed memory in MiB.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
_SHORTEST_STOP = 2  # seconds
_HEALTH_CHECK = {
    "interval": (5, 300),
    "timeout": (2, 60),
    "retries": (1, 10),
    "startPeriod": (0, 300),
}


def smallest(cpus: float, memory: int) -> tuple[int, int]:
    """The smallest size with `cpus` CPUs and `memory` MiB, as CPU units and MiB.

    Raises ValueError if Fargate has no size that large.
    """
    for units, choices in SIZES.items():
        enough = [choice for choice in choices if choice >= memory]
        if units >= cpus * 1024 and enough:
            return units, enough[0]
    raise ValueError(f"Fargate has no size with {cpus:g} CPUs and {memory} MiB")


def mebibytes(text: str) -> int:
    """A Compose size (`512M`, `1G`) in MiB, rounded up. Raises ValueError."""
    return -int(-size(text) // 1024**2)


def broken(container: Mapping[str, Any]) -> Iterator[str]:
    """Every rule that `container` of a task violates, in sentences that begin with the key."""
    if str(container.get("user", "")).partition(":")[0] in ("", "0", "root"):
        yield "user: it would run as root"
    if container.get("readonlyRootFilesystem") is not True:
        yield "readonlyRootFilesystem: it could write into its image"
    stop = container["stopTimeout"]
    if stop < _SHORTEST_STOP:
        yield f"stopTimeout: at least {_SHORTEST_STOP} seconds on Fargate, not {stop}"
    check = container.get("healthCheck", {})
    for key, (least, most) in _HEALTH_CHECK.items():
        if not least <= check.get(key, least) <= most:
            yield f"healthCheck: {key} is {least} to {most}, not {check[key]}"
    for limit in container.get("ulimits", ()):
        if limit["name"] != "nofile":
            yield f"ulimits: Fargate supports only nofile, not {limit['name']}"
