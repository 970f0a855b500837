"""The commands of ./dev: one file for each group of `./dev help`, one function for each command,
which parses, calls and prints.

A `commands.py` in a folder of the checkout adds commands in the same way. All files are imported
at every start, so a module that only one command needs is imported there.
"""

from importlib import import_module

from ..checkout import ROOT

# The order of these imports is the order of the groups in `./dev help`.
# isort: off
from . import stack, inside, worktrees, product, environment, quality, production  # noqa: F401
from . import cloud, assistants, help  # noqa: A004, F401

# isort: on
from .registry import COMMANDS, GROUPS

for _file in sorted(ROOT.glob("*/commands.py")):
    import_module(f"{_file.parent.name}.commands")

__all__ = ["COMMANDS", "GROUPS"]
