"""The acceptance criteria, each an executable check: one file for each chapter.

A check looks at the running stack and returns what it saw, or raises `Failed`.
"""

from . import aws, bc, bp, lde, pl, ws  # noqa: F401  each registers its criteria
from .criteria import CRITERIA, choose
from .report import as_json, as_table, failed, write_page
from .run import progress, verify
from .stack import Stack

__all__ = [
    "CRITERIA",
    "Stack",
    "as_json",
    "as_table",
    "choose",
    "failed",
    "progress",
    "verify",
    "write_page",
]
