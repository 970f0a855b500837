"""The task sizes of Fargate.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
"""

from __future__ import annotations

from ..declared.compose import size

# CPU units (1024 are one CPU) and the allowed memory in MiB.
SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
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
