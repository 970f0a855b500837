"""The environment: declared in `contract`, parsed and judged by `reading`, this process's own in
`process`. `python -m core.env` prints values and documents.
"""

from .contract import CONTRACT, MODES, PRODUCTION_DEFAULTS, SETTINGS
from .process import FILLED, environment, environment_or_exit, fill, own, source_of
from .reading import Environment, EnvironmentProblems, emulation, read

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
)
