"""Is there enough disk space?"""

from __future__ import annotations

import shlex
import shutil

from .. import environment
from ..checkout import Checkout
from ..errors import Problem

MEGABYTE = 1024**2
GIGABYTE = 1024**3
# The images take about 1 GB; PostgreSQL stops as soon as it cannot write.
FOR_DOCKER = 2 * GIGABYTE
# .venv takes 330 MB, and nearly as much again while packages are unpacked.
FOR_SET_UP = 600 * MEGABYTE
# A new cluster takes 40 MB.
FOR_DATA = 150 * MEGABYTE


def of_docker(root: str) -> tuple[int | None, list[Problem]]:
    """The free bytes in `root`, where Docker keeps its data, and a problem if they are too few.

    None if that disk is in a virtual machine or on another host.
    """
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return None, []
    if free >= FOR_DOCKER:
        return free, []
    return free, [
        Problem(
            f"only {free / GIGABYTE:.1f} GB are free where Docker keeps its data ({root})",
            "free some space: docker system prune   (deletes what no container uses)",
        )
    ]


def of_checkout(checkout: Checkout) -> tuple[int, list[Problem]]:
    """The free bytes on the disk of the checkout, and a problem if they are too few to start."""
    needed = FOR_DATA if environment.installed(checkout) else FOR_SET_UP
    free = shutil.disk_usage(checkout.root).free
    if free >= needed:
        return free, []
    return free, [
        Problem(
            f"only {free // MEGABYTE} MB are free on the disk of {checkout.root}; "
            f"the stack needs {needed // MEGABYTE} MB",
            f"free some space on it; to see it: df -h {shlex.quote(str(checkout.root))}",
        )
    ]
