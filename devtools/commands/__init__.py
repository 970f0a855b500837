"""The commands of ./dev, one file for each group of `./dev help`, one function for each command:
they parse, call what does the work, and print.

All of them are imported at every start, so what only one command needs is imported by it.
"""

from . import stack, inside, environment, quality, production, help  # noqa: A004, F401, I001  in their order
from .registry import COMMANDS, GROUPS

__all__ = ["COMMANDS", "GROUPS"]
