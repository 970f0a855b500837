"""Generates docs/reference.md and .env.example: every command, service, port and variable, from
their declarations."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .checkout import Checkout
from .declared import compose, local_stack, variables
from .declared.compose import ComposeFile, with_defaults
from .declared.variables import PRODUCTION, Variable
from .dotenv import EXAMPLE
from .errors import Problem
from .interpreter import Interpreter
from .texts import read

_WIDTH = 118
PAGE = "docs/reference.md"

_HEAD = """\
# Reference

Written by `./dev reference` from the commands of `./dev`, the Compose files and
[backend/core/env/contract.py](../backend/core/env/contract.py). Change those, not this page.
"""


_STATUSES = """
### Exit statuses

| status | meaning |
|---|---|
| 0 | it succeeded; a check found nothing wrong |
| 1 | it failed, or a check found something wrong |
| 2 | the command line is wrong; nothing was done |
| 130 | it was interrupted, by Ctrl-C or SIGTERM |
| 141 | the reader of its output, such as `head`, ended |

Commands that run another program return that program's status: `exec`, `lint`, `manage`, `psql`,
`shell`, `test`, `verify`. No command asks a question unless stdin is a terminal and `--json` is not
given: it fails and names the option that answers.
"""

_ANSWERS = """### JSON

With `--json` a command prints its answer on stdout and everything else on stderr. A command that
cannot do its work answers with `problems`. Keys are only ever added. In the shapes, a text names
the type of a value: `text`, `number`, `flag` (true or false), `null`, `any`, or several with `|`
between them; another word is the value itself. A key in `<>` stands for any key, one that ends with
`?` may be missing, and a list or an object that does not apply is `null`. Where a command has
several answers, they are named after its action or option. `logs` prints one object on each line,
at most 200 lines of each service unless `--tail` or `--follow` is given; `test` has at most 20
failures.
"""


class Described(NamedTuple):
    """A command: its summary, its parser, the shape of its answer."""

    summary: str
    parser: argparse.ArgumentParser
    answer: Any


def texts(
    checkout: Checkout,
    python: Interpreter,
    groups: Mapping[str, Mapping[str, Described]],
    rooms: Mapping[str, str],
    others: Mapping[str, Any],
) -> dict[str, str]:
    """The text of each generated file, by its path in the checkout.

    `groups` has the commands by group and name; `rooms` the room of a group that `./dev adopt`
    removes; `others` are answers of no command in `groups`. Raises DevError if a source cannot
    be read.
    """
    files = compose.load(checkout, python)
    contract = variables.load(checkout, python, files)
    commands = [*_commands(groups, rooms), _STATUSES, *_answers(groups, others)]
    parts = [_HEAD, *commands, *_services(files), *_ports(files)]
    page = "\n".join([*parts, *_variables(contract)])
    return {PAGE: page, EXAMPLE: variables.example(checkout, python)}


def outdated(checkout: Checkout, wanted: Mapping[str, str]) -> list[Problem]:
    """The files of `wanted` that do not contain their text."""
    return [
        Problem(f"{name} is outdated", "update it: ./dev reference")
        for name, text in wanted.items()
        if read(checkout.root / name) != text
    ]


def write(checkout: Checkout, wanted: Mapping[str, str]) -> None:
    """Write the files `wanted`. Raises DevError on failure."""
    for name, text in wanted.items():
        with checkout.writing():
            (checkout.root / name).write_text(text, encoding="utf-8")


def _commands(
    groups: Mapping[str, Mapping[str, Described]], rooms: Mapping[str, str]
) -> Iterator[str]:
    yield "## Commands\n"
    yield "Each accepts `--engine auto|compose|embedded` before or after its name."
    for group, commands in groups.items():
        if rooms[group]:
            yield f"\n<!-- {rooms[group]}: begin -->"
        yield f"\n### {group}\n"
        rows = [[f"`./dev {name}`", one.summary] for name, one in commands.items()]
        yield _table(["command", "what it does"], rows)
        for name, one in commands.items():
            options = [
                [_option(action), (action.help or "") % {"default": action.default}]
                for action in one.parser._actions
                if action.dest not in ("help", "engine")
                and action.help not in (None, argparse.SUPPRESS)
            ]
            if options:
                yield f"\n`./dev {name}`:\n"
                yield _table(["option", ""], options)
        if rooms[group]:
            yield f"\n<!-- {rooms[group]}: end -->"


def _answers(
    groups: Mapping[str, Mapping[str, Described]], others: Mapping[str, Any]
) -> Iterator[str]:
    yield _ANSWERS
    found = [one for commands in groups.values() for one in commands.items()]
    rows = [*others.items(), *((name, one.answer) for name, one in found)]
    names: dict[int, list[str]] = {}
    for name, answer in rows:  # several commands may have the same
        names.setdefault(id(answer), []).append(name)
    yield "```json"
    yield _shape({", ".join(names[id(one)]): one for _, one in rows if one is not None})
    yield "```"


def _shape(value: Any, indent: str = "") -> str:
    """`value` as JSON; what fits a line is one."""
    text = json.dumps(value)
    if len(indent + text) <= _WIDTH or isinstance(value, str):
        return text
    deeper = f"{indent}  "
    if isinstance(value, list):
        return f"[\n{deeper}{_shape(value[0], deeper)}\n{indent}]"
    lines = [f"{deeper}{json.dumps(key)}: {_shape(one, deeper)}" for key, one in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _option(action: argparse.Action) -> str:
    spelled = ", ".join(action.option_strings)
    takes_value = action.nargs != 0
    value = action.metavar or ("|".join(map(str, action.choices or ())) or action.dest.upper())
    return "`" + " ".join(filter(None, [spelled, str(value) if takes_value else ""])) + "`"


def _services(files: Mapping[str, ComposeFile]) -> Iterator[str]:
    local, production = files[compose.LOCAL].services, files[compose.PRODUCTION].services
    yield "\n## Services\n"
    rows = []
    for name in dict.fromkeys([*local, *production]):
        declared = local.get(name) or production[name]
        needs = ", ".join(f"`{needed}`" for needed in declared.get("depends_on") or ())
        limits = compose.limits(declared)
        size = ", ".join(
            with_defaults(str(limits[key])) + unit
            for key, unit in (("cpus", " CPU"), ("memory", ""))
            if key in limits
        )
        sides = {"locally": local, "in production": production}
        where = [word for word, side in sides.items() if name in side]
        rows.append([f"`{name}`", _runs(declared), needs, size, " and ".join(where)])
    yield _table(["service", "runs", "waits for", "at most", "exists"], rows)


def _runs(declared: Mapping[str, Any]) -> str:
    build = declared.get("build")
    if not build:
        return f"`{with_defaults(str(declared.get('image', '')))}`"
    words = local_stack.Service("", False, declared).command
    return f"`{' '.join(words)}`" if words else f"the image of `{build['context']}`"


def _ports(files: Mapping[str, ComposeFile]) -> Iterator[str]:
    yield "\n## Ports\n"
    yield "On 127.0.0.1 of your machine; locally with either engine.\n"
    declared = local_stack.parse(files[compose.LOCAL].services)
    chosen = [port for service in declared.extra.values() for port in service.ports]
    production = [
        port
        for name, service in files[compose.PRODUCTION].services.items()
        for port in local_stack.Service(name, False, service).ports
    ]
    rows = [
        [f"`{port.host}`", str(port.default), f"`{port.variable}`" if port.variable else "", where]
        for ports, where in (
            (declared.addresses, "locally"),
            (chosen, "locally, on Compose with its profile"),
            (production, "in production"),
        )
        for port in ports
    ]
    yield _table(["service", "port", "moved by", "exists"], rows)


def _variables(contract: Mapping[str, Variable]) -> Iterator[str]:
    yield "\n## Variables\n"
    yield (
        "`./dev env` shows the values in force and their sources. How to declare a variable:\n"
        "[environment.md](environment.md)."
    )
    for group in dict.fromkeys(variable.group for variable in contract.values()):
        yield f"\n### Variables: {group}\n"
        rows = [
            [f"`{one.name}`", _default(one), _in_production(one), _why(one)]
            for one in contract.values()
            if one.group == group
        ]
        yield _table(["variable", "default", "in production", "purpose"], rows)
    yield ""


def _default(variable: Variable) -> str:
    if not set(variable.deployments) - {PRODUCTION}:
        return "none here"
    return _code(variable.default)


def _in_production(variable: Variable) -> str:
    if PRODUCTION not in variable.deployments:
        return "not there"
    if variable.production_default is None:
        return "**required**, secret" if variable.secret else "**required**"
    same = variable.production_default == variable.default and len(variable.deployments) > 1
    return "the same" if same else _code(variable.production_default)


def _why(variable: Variable) -> str:
    text = " ".join(variable.why.split())
    return text if len(variable.deployments) != 1 else f"{text} Only {variable.deployments[0]}."


def _code(text: str | None) -> str:
    return "" if text is None else f"`{text}`" if text else "empty"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
