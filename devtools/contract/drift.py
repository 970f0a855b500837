"""Do the declared variables, the code that reads them and the files that set them agree?

One function for each comparison, which yields all findings with their lines and remedies.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .. import pins, project_table, texts
from ..checkout import Checkout
from ..declared import compose, dev_container, dockerfile, local_stack, variables
from ..declared.compose import ComposeFile
from ..declared.variables import LOCAL_COMPOSE, LOCAL_EMBEDDED, PRODUCTION, Variable
from ..dotenv import EXAMPLE, Dotenv
from ..ecs import export
from ..ecs.target import Target
from ..embedded.places import Places
from ..embedded.stack import Stack
from ..errors import Problem
from ..interpolation import Reference, fill_in
from ..interpreter import Interpreter
from . import foreign, uses
from .uses import Use

EMBEDDED = "devtools/embedded/stack.py"
SEED = "init-scripts/aws/seed.py"
REQUIREMENTS = "requirements/base.txt"

_DECLARE = (
    f"declare it: a Variable in CONTRACT of {variables.FILE}; "
    f"or, if another program owns it, add it to {foreign.FILE}"
)
# The image sets them, or only their default is right there.
_FIXED_IN_PRODUCTION = {"LOG_FORMAT", "SSM_PARAMETER_PATH", "TENANT_DEFAULT"}
_FIXED_IN_PRODUCTION |= {"TENANT_HEADER", "WORKER_HEARTBEAT_FILE"}


class Finding(NamedTuple):
    """A disagreement, its place and its remedy."""

    file: str
    line: int
    what: str
    remedy: str

    @property
    def problem(self) -> Problem:
        return Problem(f"{self.file}:{self.line}: {self.what}", self.remedy)


class Given(NamedTuple):
    """A variable that a file sets for one of our processes."""

    name: str
    value: str
    file: str
    line: int


@dataclass(frozen=True)
class Process:
    """One of our processes as a file declares it: its deployment and its variables."""

    label: str
    deployment: str
    file: str
    line: int
    given: Sequence[Given]


@dataclass(frozen=True)
class Evidence:
    """The data for all comparisons."""

    checkout: Checkout
    python: Interpreter
    contract: Mapping[str, Variable]
    files: Mapping[str, ComposeFile]
    uses: Sequence[Use]
    processes: Sequence[Process]


def gather(checkout: Checkout, python: Interpreter) -> Evidence:
    """Read everything; `python` must be able to run the backend's contract.

    Raises DevError if something cannot be read.
    """
    files = compose.load(checkout, python)
    contract = variables.load(checkout, python, files)
    processes = [
        *(process for file in files.values() for process in _of_compose(checkout, file, files)),
        *_of_embedded(checkout, files),
        *_of_ecs(checkout, files, contract),
    ]
    return Evidence(checkout, python, contract, files, uses.find(checkout, python), processes)


def findings(evidence: Evidence) -> list[Finding]:
    """Every disagreement, ordered by file and line."""
    found = {
        finding
        for compare in (
            _what_code_reads,
            _what_nobody_reads,
            _what_compose_fills_in,
            _what_processes_are_given,
            _what_production_lacks,
            _what_processes_lack,
            _the_dev_container,
            _the_example,
        )
        for finding in compare(evidence)
    }
    return sorted(found)


def summary(evidence: Evidence) -> str:
    """What was compared, to print if nothing was found."""
    return (
        f"{len(evidence.contract)} variables agree: declared, read in {len(evidence.uses)} places, "
        f"given to {len(evidence.processes)} processes by {', '.join(evidence.files)}"
    )


# The comparisons


def _what_code_reads(evidence: Evidence) -> Iterator[Finding]:
    for use in evidence.uses:
        variable = evidence.contract.get(use.name)
        if variable is None and not foreign.owner(use.name):
            yield Finding(use.file, use.line, f"{use.name} is read but not declared", _DECLARE)
        elif variable and variable.reader != "backend" and use.file.startswith("backend/"):
            what = f"{use.name} is read by the backend but declared for {variable.reader}"
            yield Finding(use.file, use.line, what, f"fix its reader: {variable.place}")


def _what_nobody_reads(evidence: Evidence) -> Iterator[Finding]:
    read: dict[str, set[str]] = {"backend": set(), "dev": set(), "compose": set()}
    for use in evidence.uses:
        read[_READS.get(use.file.partition("/")[0], "dev")].add(use.name)
    for file in evidence.files.values():
        read["compose"] |= file.named
    packages = pins.packages(evidence.checkout.read(REQUIREMENTS))
    for variable in evidence.contract.values():
        if variable.library:
            if variable.library not in packages:
                what = f"{variable.library}, which should read {variable.name}, is not installed"
                remedy = f"lock it in {REQUIREMENTS}, or name another library in the declaration"
                yield Finding(variables.FILE, variable.line, what, remedy)
        elif variable.name not in read[variable.reader]:
            yield Finding(
                variables.FILE,
                variable.line,
                f"{variable.name} is declared but {_READERS[variable.reader]} reads it",
                "remove the declaration, or name the library that reads it: library=",
            )


# By directory: scripts that containers run are not part of ./dev.
_READS = {"backend": "backend", "init-scripts": "compose"}
_READERS = {
    "backend": "no code of the backend",
    "dev": "no code of ./dev",
    "compose": "no Compose file",
}


def _what_compose_fills_in(evidence: Evidence) -> Iterator[Finding]:
    for file in evidence.files.values():
        for reference, line in file.references:
            variable = evidence.contract.get(reference.name)
            if variable:
                yield from _as_declared(file, reference, line, variable)
            elif not foreign.owner(reference.name):
                what = f"{reference.name} is interpolated but not declared"
                yield Finding(file.name, line, what, _DECLARE)


def _as_declared(
    file: ComposeFile, reference: Reference, line: int, variable: Variable
) -> Iterator[Finding]:
    # Compose sets this one itself, from the directory's name.
    if reference.operator.endswith("+") or variable.name == "COMPOSE_PROJECT_NAME":
        return
    declared = variable.production_default if file.in_production else variable.default
    # A required variable has no default, whether or not Compose requires it.
    if reference.default == declared or (declared is None and not reference.operator):
        return
    # If the code has no default, a stack may have one, for example the addresses of its emulators.
    if declared == "" and variable.reader == "backend" and reference.default is not None:
        return
    stated = "is required" if reference.default is None else f"is {reference.default!r}"
    wanted = "it is required" if declared is None else f"it is {declared!r}"
    yield Finding(
        file.name,
        line,
        f"without a value {variable.name} {stated} here, but by its declaration {wanted}",
        f"make both equal: {variable.place}",
    )


def _what_processes_are_given(evidence: Evidence) -> Iterator[Finding]:
    processes: dict[tuple[Given, str], list[str]] = {}
    for process in evidence.processes:
        for given in process.given:
            # An anchor or the image gives the same line to several processes.
            processes.setdefault((given, process.deployment), []).append(process.label)
    for (given, deployment), labels in processes.items():
        variable = evidence.contract.get(given.name)
        # NAME_FILE names a file that contains NAME.
        variable = variable or evidence.contract.get(given.name.removesuffix("_FILE"))
        who = f"{given.name} is set for {', '.join(dict.fromkeys(labels))}"
        if variable is None and not foreign.owner(given.name):
            yield Finding(given.file, given.line, f"{who} but not declared", _DECLARE)
        elif variable and deployment not in variable.deployments:
            what = f"{who}, but does not exist in {deployment}"
            remedy = f"remove it, or add {deployment} to it: {variable.place}"
            yield Finding(given.file, given.line, what, remedy)


def _what_production_lacks(evidence: Evidence) -> Iterator[Finding]:
    """What nobody could set in production, because no file passes it on."""
    for name in _not_passed_on(evidence):
        variable = evidence.contract[name]
        value = f" ${{{name}}}" if variable.production_default is None else ""
        yield Finding(
            variables.FILE,
            variable.line,
            f"{name} cannot be set in production: {compose.PRODUCTION} does not name it",
            f"add a line to x-environment there: {name}:{value}\n"
            "or, if it is only for developers, here: deployments=LOCALLY",
        )


def _not_passed_on(evidence: Evidence) -> set[str]:
    named = evidence.files[compose.PRODUCTION].named | _FIXED_IN_PRODUCTION
    return {
        variable.name
        for variable in evidence.contract.values()
        if variable.reader == "backend" and PRODUCTION in variable.deployments
    } - named


def _what_processes_lack(evidence: Evidence) -> Iterator[Finding]:
    """Ask the backend whether it would start with each process's variables."""
    known, stored = _not_passed_on(evidence), _stored(evidence)
    # What a production file requires of its user.
    required = {
        variable.name: variable.stand_in
        for variable in evidence.contract.values()
        if variable.production_default is None
    }
    environments = {}
    for number, process in enumerate(evidence.processes):
        theirs = required if process.deployment == PRODUCTION else {}
        environment = {given.name: fill_in(given.value, theirs.get) for given in process.given}
        if environment.get("SSM_PARAMETER_PATH"):
            environment |= {name: environment.get(name) or text for name, text in stored.items()}
        if "DJANGO_SETTINGS_MODULE" in environment:
            environments[f"{number}"] = environment
    refused = variables.verify(evidence.checkout, evidence.python, environments)
    for label, faults in refused.items():
        process = evidence.processes[int(label)]
        for fault in faults:
            first, *more = fault.splitlines()
            if process.deployment == PRODUCTION and first.partition(" ")[0] in known:
                continue  # see _what_production_lacks
            what = f"{process.label} would not start: {first}"
            remedy = "\n".join(line.strip() for line in more) or f"see {variables.FILE}"
            yield Finding(process.file, process.line, what, remedy)


def _stored(evidence: Evidence) -> dict[str, str]:
    """Valid values for the parameters that the seed stores, which processes read."""
    text = evidence.checkout.read(SEED)
    return {
        variable.name: variable.stand_in
        for variable in evidence.contract.values()
        if variable.reader == "backend" and f'"{variable.name}"' in text
    }


def _the_dev_container(evidence: Evidence) -> Iterator[Finding]:
    for name, file, line in dev_container.names(evidence.checkout.root):
        if name not in evidence.contract and not foreign.owner(name):
            yield Finding(file, line, f"{name} is named but not declared", _DECLARE)


def _the_example(evidence: Evidence) -> Iterator[Finding]:
    wanted = variables.example(evidence.checkout, evidence.python).splitlines()
    there = texts.read(evidence.checkout.root / EXAMPLE).splitlines()
    matcher = difflib.SequenceMatcher(None, there, wanted, autojunk=False)
    for kind, begin, end, other_begin, other_end in matcher.get_opcodes():
        if kind != "equal":
            lines = there[begin:end] or wanted[other_begin:other_end]
            missing = "lacks" if kind == "insert" else "has, unlike the declarations,"
            shown = next((line for line in lines if line.strip("# ")), lines[0])
            what = f"{missing} {shown.lstrip('# ')!r}"
            yield Finding(EXAMPLE, begin + 1, what, "update it: ./dev reference")


# The processes and their variables


def _of_compose(
    checkout: Checkout, file: ComposeFile, files: Mapping[str, ComposeFile]
) -> Iterator[Process]:
    """The processes of `file`; a file that extends the local stack is merged with it."""
    image = checkout.read(dockerfile.FILE)
    stages = dockerfile.stages(image)
    stage = stages["production" if file.in_production else "development"]
    whole = file.name in (compose.LOCAL, compose.PRODUCTION)
    for service in file.services:
        below = () if whole else (files[compose.LOCAL],)
        layers = [one for one in (*below, file) if service in one.services]
        if not any(layer.runs_our_code(service) for layer in layers):
            continue
        given = {
            name: Given(name, value, dockerfile.FILE, texts.line_of(image, f"{name}="))
            for name, value in stage.variables.items()
        }
        for layer in layers:
            for name, value in layer.environment(service).items():
                line = layer.line("services", service, "environment", name)
                given[name] = Given(name, value, layer.name, line)
        yield Process(
            label=service,
            deployment=PRODUCTION if file.in_production else LOCAL_COMPOSE,
            file=file.name,
            line=file.line("services", service),
            given=list(given.values()),
        )


def _of_embedded(checkout: Checkout, files: Mapping[str, ComposeFile]) -> Iterator[Process]:
    """The variables that the embedded engine sets by default."""
    untouched = Checkout(checkout.root, {})
    untouched.dotenv = Dotenv()
    declared = local_stack.parse(files[compose.LOCAL].services)
    ports = {port.service: port.default for port in declared.ports}
    stack = Stack(untouched, Places(untouched), declared, Path(sys.executable), ports)
    code = checkout.read(EMBEDDED)
    for name, service in {**declared.services, **declared.extra}.items():
        if service.built:
            yield Process(
                label=f"{name} (embedded)",
                deployment=LOCAL_EMBEDDED,
                file=EMBEDDED,
                line=1,
                given=[
                    Given(key, value, EMBEDDED, texts.line_of(code, f'"{key}"'))
                    for key, value in stack.settings(service).items()
                ],
            )


def _of_ecs(
    checkout: Checkout, files: Mapping[str, ComposeFile], contract: Mapping[str, Variable]
) -> Iterator[Process]:
    """The variables of a new export."""
    name = project_table.name(checkout.root)
    target = Target.of(name, export.default_image(files))
    for task in export.made(checkout, files, contract, target):
        line = files[compose.PRODUCTION].line("services", task.service)
        given = export.environment(task.definition, contract)
        yield Process(
            label=f"{task.name} (ECS)",
            deployment=PRODUCTION,
            file=compose.PRODUCTION,
            line=line,
            given=[Given(key, value, compose.PRODUCTION, line) for key, value in given.items()],
        )
