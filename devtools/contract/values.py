"""The values in force for a service, and their sources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..checkout import Checkout
from ..declared.compose import LOCAL, ComposeFile
from ..declared.variables import LOCAL_COMPOSE, LOCAL_EMBEDDED, PRODUCTION, Variable
from ..engines.base import Engine
from ..errors import DevError
from ..interpolation import references
from ..terminal import Terminal, table

HIDDEN = "********"
NOT_KNOWN = "not known"

_EFFECTIVE = ("python", "-m", "core.env", "effective")
# In these only the password is secret, and it can be located. Other secrets are hidden whole.
_SCHEME = r"(?:postgres(?:ql)?|rediss?|smtp(?:\+\w+)?|consolemail)://"
_PASSWORD = re.compile(rf"(?P<before>{_SCHEME}[^/\s:@?#]*):[^\s@]+@(?P<after>[^@?\s]*)\Z")
_NO_PASSWORD = re.compile(rf"{_SCHEME}(?:\w+@)?[^@?\s]*\Z")


@dataclass(frozen=True)
class Value:
    """The value of a variable; `text` is None if there is none, and never a secret."""

    variable: Variable
    text: str | None
    source: str
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Stable keys, for `./dev env --json`."""
        return {
            "name": self.variable.name,
            "group": self.variable.group,
            "value": self.text,
            "source": self.source,
            "note": self.note,
            "secret": self.variable.secret,
            "deployments": list(self.variable.deployments),
        }


@dataclass(frozen=True)
class Report:
    """All values. `unknown` lists what is unknown, and why; `running` is then None."""

    deployment: str
    service: str
    running: bool | None
    values: list[Value]
    unknown: list[str]

    def as_json(self) -> dict[str, Any]:
        """Stable keys, for `./dev env --json`."""
        return {
            "deployment": self.deployment,
            "service": self.service,
            "running": self.running,
            "variables": [value.as_json() for value in self.values],
            "unknown": self.unknown,
        }


def in_force(
    checkout: Checkout,
    contract: Mapping[str, Variable],
    file: ComposeFile,
    engine: Engine,
    service: str,
) -> Report:
    """The variables of `service`: current ones if it runs, else those that a start would set."""
    start = engine.environment_at_start(service)
    unknown = []
    now, running = None, None
    try:
        now = _ask(engine, service)
        running = now is not None
    except DevError as error:
        unknown.append(f"the current values of {service}: {error}")
    if running is False:
        unknown.append(f"{service} is not running: these are the values of the next start")
    path = (start or {}).get("SSM_PARAMETER_PATH")
    if now is None and path:
        unknown.append(f"the parameters under {path} are unknown until {service} runs")
    if start is None:
        unknown.append("the values of the next start are decided outside this container")
    deployment = LOCAL_EMBEDDED if engine.name == "embedded" else LOCAL_COMPOSE
    look = _Look(checkout, file, service, start, now, engine.filled_in())
    values = [look.at(variable, deployment) for variable in contract.values()]
    return Report(deployment, service, running, values, unknown)


@dataclass(frozen=True)
class _Look:
    """Reads the variables of a service from its files and from its process."""

    checkout: Checkout
    file: ComposeFile
    service: str
    start: Mapping[str, str] | None
    now: Mapping[str, Mapping[str, str]] | None
    filled_in: Mapping[str, str]

    def at(self, variable: Variable, deployment: str) -> Value:
        if deployment not in variable.deployments:
            return Value(variable, None, f"does not exist in {deployment}")
        if variable.reader != "backend":
            return self._of_the_files(variable)
        if self.now is None and self.start is None:
            return Value(variable, None, NOT_KNOWN)
        coming, source = self._at_start(variable)
        if self.now is None:
            return _value(variable, coming, source, self._overruled(variable, source))
        there = self.now.get(variable.name, {})
        text = there.get("value")
        if there.get("source") == "ssm":
            path = self.now.get("SSM_PARAMETER_PATH", {}).get("value", "")
            return _value(variable, text, f"SSM {path}/{variable.name}")
        if self.start is not None and text != coming:
            shown = mask(variable, coming) or "nothing"
            return _value(variable, text, "the start of what runs", f"./dev up would set {shown}")
        return _value(variable, text, source, self._overruled(variable, source))

    def _of_the_files(self, variable: Variable) -> Value:
        name = variable.name
        if self.checkout.chosen(name):
            return _value(variable, self.checkout.chosen(name), self.checkout.where_chosen(name))
        if name in self.filled_in:
            return _value(variable, self.filled_in[name], "./dev")
        return _value(variable, variable.default, "default")

    def _at_start(self, variable: Variable) -> tuple[str | None, str]:
        """The value that a start would set, and its source."""
        name = variable.name
        text = (self.start or {}).get(name) or variable.default
        written = self.file.environment(self.service).get(name)
        if written is not None:
            return text, self._written(name, written)
        if not (self.start or {}).get(name):
            return text, "default" if self.start is not None else "the environment"
        from_dotenv = self.checkout.dotenv.values.get(name) == text
        return text, ".env" if from_dotenv else "./dev"

    def _written(self, name: str, written: str) -> str:
        """The source of a value in the Compose file."""
        named = references(written)
        chosen = {
            reference.name: self.checkout.where_chosen(reference.name)
            for reference in named
            if self.checkout.chosen(reference.name)
        }
        if named and named[0].name == name and written.startswith("${"):
            return chosen.get(name, "default")
        place = f"{LOCAL}:{self.file.line('services', self.service, 'environment', name)}"
        parts = [f"{other} from {where}" for other, where in chosen.items()]
        return f"{place} with {', '.join(parts)}" if parts else place

    def _overruled(self, variable: Variable, source: str) -> str:
        """A value that the user set but `service` does not get."""
        name = variable.name
        if self.start is None:
            return ""
        if name in self.checkout.dotenv.values and source.startswith(LOCAL):
            return f".env sets it too, but {LOCAL} overrides it"
        if self.checkout.variables.get(name) and source != "the environment":
            return f"this shell's value is not seen by {self.service}: put it into .env"
        return ""


def listed(report: Report, terminal: Terminal) -> Iterator[str]:
    """The values as lines of a table, by group."""
    rows = [_row(value) for value in report.values]
    lines = iter(table(rows))
    group = ""
    for value, line in zip(report.values, lines):
        if value.variable.group != group:
            group = value.variable.group
            yield ""
            yield terminal.paint(group, "1")
        yield f"  {line}" if value.text is not None else terminal.faint(f"  {line}")


def explained(report: Report) -> Iterator[str]:
    """All details of each value, one on each line."""
    for value in report.values:
        variable = value.variable
        facts = {
            "value": "none" if value.text is None else value.text or "empty",
            "source": value.source,
            "note": value.note,
            "default": mask(variable, variable.default),
            "in production": _in_production(variable),
            "exists in": ", ".join(variable.deployments),
            "declared": variable.place,
        }
        yield variable.name
        yield from (f"  {line}" for line in variable.why.splitlines())
        yield ""
        yield from (f"  {line}" for line in table([[key, f] for key, f in facts.items() if f]))


def mask(variable: Variable, text: str | None) -> str | None:
    """`text` for display: without the password, or hidden if it is not an address."""
    if not variable.secret or not text or _NO_PASSWORD.match(text):
        return text
    found = _PASSWORD.match(text)
    return f"{found['before']}:{HIDDEN}@{found['after']}" if found else HIDDEN


def _value(variable: Variable, text: str | None, source: str, note: str = "") -> Value:
    return Value(variable, mask(variable, text), source, note)


_LONGEST = 60


def _row(value: Value) -> list[str]:
    text = "-" if value.text is None else value.text
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    source = f"{value.source} ({value.note})" if value.note else value.source
    return [value.variable.name, shown, source]


def _in_production(variable: Variable) -> str:
    if PRODUCTION not in variable.deployments:
        return ""
    if variable.production_default is None:
        return "required"
    return mask(variable, variable.production_default) or "empty"


def _ask(engine: Engine, service: str) -> Mapping[str, Mapping[str, str]] | None:
    answer = engine.ask(service, _EFFECTIVE)
    if answer is None:
        return None
    answer.must("it runs, but printed")
    return json.loads(answer.output)
