"""The commands of ./dev: one file for each group of `./dev help`, one function for each command,
which parses, calls and prints.

A folder of the checkout with a `commands.py` adds commands in the same way. All of them are
imported at every start, so a function imports what only it needs.
"""

from importlib import import_module

from ..checkout import ROOT
from . import environment, help, inside, production, quality, stack  # noqa: A004, F401  in their order
from .registry import COMMANDS, GROUPS

for _file in sorted(ROOT.glob("*/commands.py")):
    import_module(f"{_file.parent.name}.commands")

__all__ = ["COMMANDS", "GROUPS"]
