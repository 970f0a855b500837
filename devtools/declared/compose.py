"""The Compose files as written, with line numbers: the variables that they set for services."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..checkout import Checkout
from ..errors import DevError
from ..interpolation import Reference, fill_in, references
from ..interpreter import Interpreter

LOCAL = "docker-compose.yml"
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmg]?)i?b?\Z", re.IGNORECASE)
PRODUCTION = "docker-compose.prod.yml"
IMAGE = "backend/Dockerfile"
PATTERNS = ("docker-compose*.yml", ".devcontainer/*compose*.yml")


@dataclass(frozen=True, eq=False)
class ComposeFile:
    """A Compose file. `lines` has the format of devtools/declared/read_yaml.py."""

    name: str
    text: str
    document: Mapping[str, Any]
    lines: Mapping[str, int]

    @property
    def in_production(self) -> bool:
        return self.name == PRODUCTION

    @cached_property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        return with_builds(self.document.get("services") or {})

    def environment(self, service: str) -> Mapping[str, str]:
        """The variables of `service`, as written."""
        return self.services[service].get("environment") or {}

    def line(self, *path: str) -> int:
        """The line of a key, or of its nearest parent if the file has no such key."""
        while path and "/".join(path) not in self.lines:
            path = path[:-1]
        return self.lines.get("/".join(path), 1)

    def runs_our_code(self, service: str) -> bool:
        """Whether `service` runs the backend's image."""
        return builds_ours(self.services[service]) or self.script(service).startswith("bin/")

    def script(self, service: str) -> str:
        """The first word of the command of `service`; empty if it uses the image's command."""
        command = self.services[service].get("command") or ""
        words = command.split() if isinstance(command, str) else list(map(str, command))
        return words[0] if words else ""

    @property
    def named(self) -> set[str]:
        """Every variable that it interpolates or sets."""
        given = {name for service in self.services for name in self.environment(service)}
        return given | {reference.name for reference, _line in self.references}

    @property
    def named_for_processes(self) -> set[str]:
        """The part of `named` that matters without containers, so no variables of image builds."""
        kept = [
            {key: value for key, value in declared.items() if key not in ("build", "image")}
            for declared in self.services.values()
        ]
        given = {name for service in self.services for name in self.environment(service)}
        return given | {reference.name for reference in references(json.dumps(kept))}

    @cached_property
    def references(self) -> list[tuple[Reference, int]]:
        """Every interpolated variable, with its line; comments are skipped."""
        return [
            (reference, number)
            for number, line in enumerate(self.text.splitlines(), 1)
            if not line.lstrip().startswith("#")
            for reference in references(line)
        ]


def load(checkout: Checkout, python: Interpreter) -> dict[str, ComposeFile]:
    """Every Compose file of the checkout, by its path, read by `python`.

    Raises DevError with every unreadable file, or if LOCAL or PRODUCTION is missing.
    """
    found = {path for pattern in PATTERNS for path in checkout.root.glob(pattern)}
    names = sorted(str(path.relative_to(checkout.root)) for path in found)
    for name in (LOCAL, PRODUCTION):
        if name not in names:
            raise DevError(f"there is no {name}", f"git checkout HEAD {name}")
    return {
        name: ComposeFile(name, checkout.read(name), *parts)
        for name, parts in zip(names, read(checkout, python, names))
    }


def read(
    checkout: Checkout, python: Interpreter, names: Sequence[str]
) -> list[tuple[Mapping[str, Any], Mapping[str, int]]]:
    """Document and lines of YAML files of the checkout. Raises DevError as `load`."""
    # As text: the Python may be in a container, and the checkout need not contain this tool.
    reader = Path(__file__).with_name("read_yaml.py").read_text(encoding="utf-8")
    done = python.run(checkout, "-c", reader, *names).must(
        "the Compose files cannot be read", "is .venv usable? ./dev doctor python"
    )
    parts = json.loads(done.output)
    faults = [
        f"{name} is invalid: {part['error']}" for name, part in zip(names, parts) if part["error"]
    ]
    if faults:
        raise DevError("\n".join(faults), f"see the changes: git diff HEAD {' '.join(names)}")
    return [(in_one_form(part["document"] or {}), part["lines"]) for part in parts]


def in_one_form(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """`document` with each entry in the form that this project uses, of those that Compose has.

    https://docs.docker.com/reference/compose-file/services/
    """
    services = document.get("services")
    if not isinstance(services, Mapping):
        return document
    changed = {name: _service_in_one_form(one or {}) for name, one in services.items()}
    return {**document, "services": changed}


def _service_in_one_form(declared: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(declared)
    given = declared.get("environment")
    if isinstance(given, Mapping):
        changed["environment"] = {
            name: "" if value is None else _text(value) for name, value in given.items()
        }
    elif given:
        pairs = (str(entry).partition("=") for entry in given)
        changed["environment"] = {name: value for name, _, value in pairs}
    if isinstance(declared.get("build"), str):
        changed["build"] = {"context": declared["build"]}
    if isinstance(declared.get("depends_on"), list):
        started = {"condition": "service_started"}
        changed["depends_on"] = dict.fromkeys(declared["depends_on"], started)
    for key, parts in (
        ("ports", ("host_ip", "published", "target")),
        ("volumes", ("source", "target")),
    ):
        if key in declared:
            changed[key] = [
                ":".join(str(entry[part]) for part in parts if part in entry)
                if isinstance(entry, Mapping)
                else entry
                for entry in declared[key]
            ]
    return changed


def limits(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    """The limits of a service: `cpus`, `memory` and others."""
    return ((declared.get("deploy") or {}).get("resources") or {}).get("limits") or {}


def one_shots(declared: Mapping[str, Any]) -> set[str]:
    """The services that run once: others wait for their completion."""
    return {
        name
        for declaration in declared.values()
        for name, link in (declaration.get("depends_on") or {}).items()
        if link.get("condition") == "service_completed_successfully"
    }


def builds_ours(declared: Mapping[str, Any]) -> bool:
    """Whether a service builds the backend's image."""
    return (declared.get("build") or {}).get("dockerfile") == IMAGE


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
    # The address may be a variable, too.
    named = references(published.rpartition("}:")[2])
    number = re.match(r"\d+", target)
    return int(number.group()) if number else 0, named[0].name if named else ""


def size(text: str) -> float:
    """A size, as `512M` in a declaration or `12.3MiB` in Docker's output, in bytes.

    Raises ValueError.
    """
    match = _SIZE.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a memory size")
    number, unit = match.groups()
    return float(number) * _UNITS[unit.lower()]


def with_defaults(text: str) -> str:
    """`text` with the defaults of all variables."""
    return fill_in(text, lambda _: None)


def _text(value: Any) -> str:
    """A scalar as Compose passes it to a container."""
    return str(value).lower() if isinstance(value, bool) else str(value)
