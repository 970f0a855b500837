"""The differences between the local stack and production, and their reasons.

Compares both Compose files key by key with default values, and the backend's variables by value.
Intended differences are declared in devtools/contract/differences.py, those of a product in its
Compose files and, for values of variables, in the contract.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ..checkout import Checkout
from ..declared import compose, dockerfile, variables
from ..declared.compose import ComposeFile
from ..declared.variables import LOCAL_COMPOSE, PRODUCTION, Variable
from ..errors import Problem
from ..interpolation import fill_in, references
from ..interpreter import Interpreter
from ..terminal import Mark, Terminal, table
from .differences import DIFFERENCES, Declared

# In a service of a Compose file: reasons by aspect, or by a shell pattern of aspects.
REASONS = "x-differs"

NOTHING = "-"
GIVEN = "given by its user"

# Compared separately below, or irrelevant to the running services.
_TAKEN_APART = {"build", "deploy", "environment", "healthcheck", "image", "pull_policy", REASONS}
_IMAGE = re.compile(r"(?:.*/)?([\w.-]+):v?(\d+)?")


@dataclass(frozen=True)
class Difference:
    """A different aspect of a service; `line` is that in production's file."""

    service: str
    aspect: str
    local: str
    production: str
    line: int
    reason: str = ""


@dataclass(frozen=True)
class Parity:
    """All differences, those without a reason, reasons without a difference, equal aspects."""

    differences: list[Difference]
    stale: list[tuple[str, Declared]]  # with file and line
    alike: list[tuple[str, str, str]]

    @property
    def problems(self) -> list[Problem]:
        """What makes the comparison fail."""
        undeclared = [
            Problem(
                f"{compose.PRODUCTION}:{one.line}: {one.service}: {one.aspect} is "
                f"{_short(one.production)} in production and {_short(one.local)} here, "
                "without a declared reason",
                f"make both equal, or add the reason to the service: "
                f"{REASONS}: {{{one.aspect}: REASON}}",
            )
            for one in self.differences
            if not one.reason
        ]
        return undeclared + [
            Problem(
                f"{place}: {declared.service} {declared.aspect} no longer differs",
                "remove the entry",
            )
            for place, declared in self.stale
        ]

    def as_json(self) -> dict[str, Any]:
        """Stable keys, for `./dev parity --json`."""
        alike = [dict(zip(("service", "aspect", "value"), one)) for one in self.alike]
        stale = [place for place, _declared in self.stale]
        differences = [asdict(one) for one in self.differences]
        for one in differences:
            del one["line"]
        return {"differences": differences, "alike": alike, "stale": stale}


def compare(checkout: Checkout, python: Interpreter) -> Parity:
    """Compare the checkout's two stacks. Raises DevError if one cannot be read."""
    files = compose.load(checkout, python)
    contract = variables.load(checkout, python, files)
    stages = dockerfile.stages(checkout.read(dockerfile.FILE))
    local = _Side(files[compose.LOCAL], LOCAL_COMPOSE, stages["development"])
    production = _Side(files[compose.PRODUCTION], PRODUCTION, stages["production"])

    own = dict(_in_compose_files(local.file, production.file))
    reasons = [*DIFFERENCES, *own]
    differences, alike = [], []
    for service, aspect, here, there in _compared(local, production, contract):
        if here == there:
            alike.append((service, aspect, _hidden(aspect, here, contract)))
            continue
        line = production.line(service, aspect)
        here, there = (_hidden(aspect, text, contract) for text in (here, there))
        difference = Difference(service, aspect, here, there, line)
        declared = next((one.reason for one in reasons if _fits(one, difference)), "")
        reason = declared or _by_contract(difference, contract)
        differences.append(replace(difference, reason=reason))
    # The workspace's own list may name more than a product has.
    used = {entry for one in differences for entry in own if _fits(entry, one)}
    stale = [(place, entry) for entry, place in own.items() if entry not in used]
    return Parity(differences, stale, alike)


def show(parity: Parity, terminal: Terminal) -> None:
    """Print the differences with their reasons, then the most important equal aspects."""
    grouped: dict[tuple[str, str, str, str], list[str]] = {}
    for one in parity.differences:
        key = (one.reason, one.aspect, one.local, one.production)
        grouped.setdefault(key, []).append(one.service)
    ordered = sorted(grouped.items())
    head, *lines = table(
        [
            ["", "LOCAL", "PRODUCTION", "OF"],
            *(
                [of, _short(here), _short(there), ", ".join(s)]
                for (_r, of, here, there), s in ordered
            ),
        ]
    )
    terminal.say(f"  {head}")
    last = None
    for line, ((reason, *_values), _services) in zip(lines, ordered):
        if reason != last:
            terminal.say("")
            terminal.heading(reason or "NO DECLARED REASON")
            last = reason
        terminal.say(f"  {line}")
    terminal.say("")
    for aspect in ("command", "health check", "image", "variable SERVER"):
        same = [(service, value) for service, of, value in parity.alike if of == aspect]
        if same:
            shown = ", ".join(f"{service} {value}" for service, value in same if value != NOTHING)
            terminal.mark(Mark.GOOD, f"equal: {aspect}  {shown}")


# The aspects


@dataclass(frozen=True)
class _Side:
    """One of the two stacks."""

    file: ComposeFile
    deployment: str
    image: dockerfile.Stage

    def line(self, service: str, aspect: str) -> int:
        word, _, rest = aspect.partition(" ")
        key = {"variable": ["environment", rest], "limit": ["deploy", "resources", "limits", rest]}
        return self.file.line("services", service, *key.get(word, [word]))

    def variable(self, service: str, variable: Variable) -> str:
        """The value of `variable` for `service` by default."""
        if self.deployment not in variable.deployments:
            return NOTHING
        given = self.file.environment(service)
        default = variable.production_default if self.file.in_production else variable.default
        written = given.get(variable.name) or self.image.variables.get(variable.name, "")
        names = {reference.name for reference in references(written)}
        if default is None and (names or not written):
            return GIVEN
        return (_resolved(written) or default or "") if written else default or ""


def _compared(
    local: _Side, production: _Side, contract: Mapping[str, Variable]
) -> Iterator[tuple[str, str, str, str]]:
    """Service, aspect, and its value in both."""
    here, there = local.file.services, production.file.services
    for service in sorted({*here, *there}):
        if service not in here or service not in there:
            present = ["yes" if service in side else NOTHING for side in (here, there)]
            yield service, "service", present[0], present[1]
            continue
        ours = production.file.runs_our_code(service)
        one, other = (_aspects(side, service, contract, ours) for side in (local, production))
        for aspect in sorted({*one, *other}):
            yield service, aspect, one.get(aspect, NOTHING), other.get(aspect, NOTHING)


def _aspects(
    side: _Side, service: str, contract: Mapping[str, Variable], ours: bool
) -> dict[str, str]:
    """Every aspect of a service as text; the variables of `ours` are those that are declared."""
    declared = side.file.services[service]
    check = dict(declared.get("healthcheck") or {})
    found = {
        "image": _image(declared),
        "stage": str((declared.get("build") or {}).get("target", NOTHING)),
        "health check": _resolved(check.pop("test", None)),
        "health check times": _resolved(check or None),
    }
    for limit, value in compose.limits(declared).items():
        found[f"limit {limit}"] = _resolved(value)
    for key in declared.keys() - _TAKEN_APART:
        found[key] = _resolved(declared[key])
    if ours:
        for variable in contract.values():
            if variable.reader == "backend":
                found[f"variable {variable.name}"] = side.variable(service, variable)
    else:
        for name, value in side.file.environment(service).items():
            found[f"variable {name}"] = _resolved(value)
    return found


def _image(declared: Mapping[str, Any]) -> str:
    """The image with its major version; for our own image only that it is ours."""
    if "build" in declared:
        return "our own"
    match = _IMAGE.match(_resolved(declared.get("image")))
    return " ".join(filter(None, match.groups())) if match else NOTHING


def _resolved(value: Any) -> str:
    """A declared value as text, with the defaults of its variables."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    open_ = {one.name for one in references(text) if not one.default}
    return fill_in(text, lambda name: f"${{{name}}}" if name in open_ else None)


def _hidden(aspect: str, text: str, contract: Mapping[str, Variable]) -> str:
    word, _, name = aspect.partition(" ")
    secret = word == "variable" and name in contract and contract[name].secret
    return "a secret" if secret and text not in (NOTHING, GIVEN, "") else text


# Reasons


def _in_compose_files(*files: ComposeFile) -> Iterator[tuple[Declared, str]]:
    """The reasons that services declare, each with file and line."""
    for file in files:
        for service, declared in file.services.items():
            for aspect, reason in (declared.get(REASONS) or {}).items():
                line = file.line("services", service, REASONS, aspect)
                yield Declared(service, aspect, str(reason)), f"{file.name}:{line}"


def _by_contract(difference: Difference, contract: Mapping[str, Variable]) -> str:
    """The contract's reason, if it declares that the values differ."""
    word, _, name = difference.aspect.partition(" ")
    variable = contract.get(name) if word == "variable" else None
    if variable is None or variable.reader != "backend":
        return ""
    if PRODUCTION not in variable.deployments or LOCAL_COMPOSE not in variable.deployments:
        return f"{variables.FILE} declares it for one of them only"
    if difference.production == GIVEN:
        return f"{variables.FILE} has no default for it in production"
    if variable.production_default == difference.production != variable.default:
        return f"{variables.FILE} disables local conveniences in production"
    return ""


def _fits(declared: Declared, difference: Difference) -> bool:
    return fnmatchcase(difference.service, declared.service) and fnmatchcase(
        difference.aspect, declared.aspect
    )


def _short(text: str) -> str:
    text = " ".join(text.split()) or "empty"
    return text if len(text) <= 40 else f"{text[:37]}..."
