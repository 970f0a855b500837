"""Is there enough space on the checkout's disk for the embedded engine?"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from .. import environment
from ..checkout import Checkout
from ..errors import Problem
from .result import Result, of

if TYPE_CHECKING:
    from .surroundings import Surroundings

MEGABYTE = 1024**2
# .venv takes 250 MB, and about as much again while packages are unpacked.
FOR_SET_UP = 600 * MEGABYTE
# A new cluster takes 40 MB; PostgreSQL stops as soon as it cannot write.
FOR_DATA = 150 * MEGABYTE


def check(here: Surroundings) -> Result:
    """Is there enough space on the checkout's disk?"""
    checkout = here.embedded.checkout
    free = shutil.disk_usage(checkout.root).free
    return of(problems(checkout), f"{free / 1024**3:.0f} GB free on the checkout's disk")


def problems(checkout: Checkout) -> list[Problem]:
    """A problem if the disk is too full to start."""
    needed = FOR_DATA if environment.installed(checkout) else FOR_SET_UP
    free = shutil.disk_usage(checkout.root).free
    if free >= needed:
        return []
    return [
        Problem(
            f"only {free // MEGABYTE} MB are free on the disk of {checkout.root}; "
            f"the stack needs {needed // MEGABYTE} MB",
            f"free some space: df -h '{checkout.root}'",
        )
    ]
