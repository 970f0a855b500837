"""The contract as text: `.env.example` for people, plain data for ./dev."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any

from .contract import CONTRACT, EVERYWHERE, LOCALLY, Variable
from .process import source_of
from .validation import EnvironmentProblems, default, given, mode_of, read

# Where a variable exists that names no deployments, by its reader.
_DEPLOYMENTS = {"backend": EVERYWHERE, "dev": LOCALLY, "compose": frozenset()}


def example_file() -> str:
    """Return the text of `.env.example`: every variable, commented out, with its default."""
    lines = [
        "# Every variable, generated from backend/core/env/contract.py; do not edit.",
        "#",
        "# None is needed to start: what is commented out is the local default. To change one,",
        "# copy its line into a file called .env beside this one, without the leading '# '.",
        "# Never commit .env. Values marked SECRET must be random and unique in production,",
        "# and come from a secret store there, not from a file. {random} in an example stands for",
        "# such a value: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
    ]
    for group, variables in groupby(CONTRACT, key=attrgetter("group")):
        lines += ["", f"# --- {group} " + "-" * (88 - len(group))]
        for variable in variables:
            lines += ["", *_example_lines(variable)]
    return "\n".join(lines) + "\n"


def _example_lines(variable: Variable) -> list[str]:
    lines = [f"# {line}" for line in variable.why.splitlines()]
    if variable.secret:
        lines.append("# SECRET.")
    if variable.required_in:
        lines.append(f"# Must be set in: {', '.join(sorted(variable.required_in))}.")
    if variable.example and variable.example != variable.default:
        lines.append(f"# e.g. {variable.name}={variable.example}")
    lines.append(f"# {variable.name}={variable.default or ''}")
    return lines


def contract() -> list[dict[str, Any]]:
    """Return every declaration as plain data; a default that does not count is None.

    No deployments: wherever a Compose file names it.
    """
    return [
        {
            "name": variable.name,
            "group": variable.group,
            "why": variable.why,
            "default": default(variable, "local"),
            "production_default": default(variable, "production"),
            "example": variable.example,
            "required_in": sorted(variable.required_in),
            "secret": variable.secret,
            "reader": variable.reader,
            "deployments": sorted(variable.deployments or _DEPLOYMENTS[variable.reader]),
            "library": variable.library,
        }
        for variable in CONTRACT
    ]


def effective() -> dict[str, dict[str, str]]:
    """Return the text this process has for every variable the backend reads, and its source.

    A variable without a value is left out. The text of a secret is in it.
    """
    found = {}
    for variable in CONTRACT:
        if variable.reader != "backend":
            continue
        source = source_of(variable.name)
        value = given(variable, os.environ) or default(variable, mode_of(os.environ))
        if value is not None:
            found[variable.name] = {"value": value, "source": source}
    return found


def verify(environments: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the problems of each of several environments, by the label it was given."""
    found = {}
    for label, source in environments.items():
        try:
            read(source)
        except EnvironmentProblems as problems:
            found[label] = problems.problems
    return found
