"""The roles of services, and helpers for Compose files that all engines share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The roles that the commands refer to.
WEB = "web"
WORKER = "worker"
DATABASE = "db"
CACHE = "redis"
RELEASE = "migrate"
TESTS = "test"
AWS = "localstack"
COGNITO = "cognito"
IMAGE = "image"
# The AWS emulators, each with a path that shows whether it is seeded.
EMULATORS = {AWS: "/_localstack/init/ready", COGNITO: "/moto-api/"}

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


def one_shots(declared: Mapping[str, Any]) -> set[str]:
    """The services that run once: others wait for their completion."""
    return {
        name
        for declaration in declared.values()
        for name, link in (declaration.get("depends_on") or {}).items()
        if link.get("condition") == "service_completed_successfully"
    }


def with_builds(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The `declared` services, each with the `build` of the one that builds its image."""
    builds = {one.get("image"): one["build"] for one in declared.values() if one.get("build")}
    return {
        name: {**one, "build": builds[one.get("image")]} if one.get("image") in builds else one
        for name, one in declared.items()
    }


def by_dependency(declared: Mapping[str, Any]) -> list[str]:
    """The names of services, each after its dependencies."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered or name not in declared:
            return
        for needed in sorted(declared[name].get("depends_on") or ()):
            visit(needed)
        ordered.append(name)

    for name in declared:
        visit(name)
    return ordered


def port_variable(entry: Any) -> tuple[int, str]:
    """Target and variable of a port in Compose's short or long form."""
    if isinstance(entry, dict):
        target, published = str(entry.get("target", 0)), str(entry.get("published", ""))
    else:
        published, _, target = str(entry).rpartition(":")
    variable = _VARIABLE.search(published)
    number = re.match(r"\d+", target)
    return int(number.group()) if number else 0, variable.group(1) if variable else ""
