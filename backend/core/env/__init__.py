"""The environment: declared in `contract`, parsed by `parsers`, checked by `validation`.

`process` has the values of this process. `python -m core.env` prints values and `export`s.
"""

from .contract import CONTRACT, MODES, PRODUCTION_DEFAULTS, SETTINGS
from .process import FILLED, environment, environment_or_exit, fill, own, source_of, wait_for_store
from .validation import Environment, EnvironmentProblems, emulation, read

__all__ = (
    "CONTRACT",
    "FILLED",
    "MODES",
    "PRODUCTION_DEFAULTS",
    "SETTINGS",
    "Environment",
    "EnvironmentProblems",
    "emulation",
    "environment",
    "environment_or_exit",
    "fill",
    "own",
    "read",
    "source_of",
    "wait_for_store",
)
