"""The environment of this process, with what the parameter store fills in."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import MutableMapping
from functools import cache

from .contract import CONTRACT, SETTINGS
from .parsers import parameter_path
from .validation import BY_NAME, Environment, EnvironmentProblems, mode_of, read, report

# Asked for unset variables, where SSM_PARAMETER_PATH is set. By its name, as settings name
# middleware, because core imports no application; and only then, because it is slow.
PARAMETER_STORE = "cloud.parameters"
# Set when a process starts, so that scripts and health checks need not ask the store.
NEVER_STORED = frozenset({"DJANGO_SETTINGS_MODULE", "SSM_PARAMETER_PATH"}) | {
    variable.name for variable in CONTRACT if variable.group == "Processes"
}
# A process's note to its children: the path that was read, and the names it filled.
FILLED = "SSM_PARAMETERS_FILLED"


@cache
def environment(*, serves: bool = False) -> Environment:
    """Return the environment of this process, read once, with the parameters of the store.

    Args:
        serves: True in web and worker; see `read`.

    Raises:
        EnvironmentProblems: as `read` and `fill`.
    """
    fill(os.environ)
    return read(os.environ, serves=serves)


def environment_or_exit(*names: str, serves: bool = False) -> Environment:
    """As `environment`, or as `own` of `names`, for what starts a process.

    Problems end it with their text alone. The exit status is EX_TEMPFAIL if a later start may
    succeed: development/reload.py tries again.
    """
    try:
        return own(*names) if names else environment(serves=serves)
    except EnvironmentProblems as problems:
        print(problems, file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL if problems.passing else 1)


def own(*names: str) -> Environment:
    """Return variables that are set when this process starts; no store is asked for them.

    Where there is no store, the whole environment is validated all the same.

    Raises:
        EnvironmentProblems: as `environment`.
    """
    if os.environ.get("SSM_PARAMETER_PATH") and NEVER_STORED.issuperset(names):
        return read(os.environ, names)
    return environment()


def fill(source: MutableMapping[str, str]) -> None:
    """Set what is unset in `source` from the parameters under SSM_PARAMETER_PATH.

    A process does so once, for its children too: `FILLED` tells them.

    Raises:
        EnvironmentProblems: when the parameters cannot be had.
    """
    mode = mode_of(source)
    path = source.get("SSM_PARAMETER_PATH", "")
    read_before, *names = source.get(FILLED, "").split() or [""]
    if path == read_before:
        return
    for name in (FILLED, *names):
        source.pop(name, None)
    try:
        stored = _stored(parameter_path(path), mode) if path else {}
    except ValueError:
        return  # `read` says so, with all else
    except (OSError, LookupError) as error:
        fault = f"SSM_PARAMETER_PATH={path}: {error}"
        problems = report(SETTINGS[mode], [fault])
        raise EnvironmentProblems(problems, passing=True) from error
    unset = {name: value for name, value in stored.items() if not source.get(name)}
    source.update(unset)
    if path:
        source[FILLED] = " ".join([path, *unset])


def wait_for_store() -> None:
    """Return when a store that starts beside this process has its parameters, or takes too long."""
    if os.environ.get("SSM_PARAMETER_PATH"):
        importlib.import_module(PARAMETER_STORE).wait()


def source_of(name: str) -> str:
    """Return where this process has a value from: "ssm", "environment" or "default".

    "environment" is what was set at the start: by the shell, Compose, `.env`, a task
    definition.

    Raises:
        EnvironmentProblems: as `fill`.
    """
    fill(os.environ)
    if name in os.environ.get(FILLED, "").split()[1:]:
        return "ssm"
    return "environment" if os.environ.get(name) else "default"


def _stored(path: str, mode: str) -> dict[str, str]:
    """Return the store's values for declared variables; what it may not set is named."""
    found: dict[str, str] = importlib.import_module(PARAMETER_STORE).fetch(path)
    refused = {name: reason for name in found if (reason := _not_stored(name, mode))}
    for name, reason in sorted(refused.items()):
        print(f"parameter {path}/{name} is ignored: {name} {reason}", file=sys.stderr)
    return {name: value for name, value in found.items() if name not in refused}


def _not_stored(name: str, mode: str) -> str:
    """Return why the parameter store may not set a variable in `mode`, or nothing."""
    variable = BY_NAME.get(name)
    if variable is None or variable.reader != "backend":
        return "is not declared"
    if name in NEVER_STORED:
        return "is set by what starts the process"
    if variable.guards and mode != "production":
        return "protects this machine; set it in .env"
    return ""
