"""The exported tasks on ECS: on the emulator of this checkout, or in an account."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from .. import environment
from ..errors import DevError, Problem, UsageError
from ..process import stream
from ..terminal import Mark
from . import shapes
from .options import YES, option, positive, repeated
from .registry import Run, group

command = group("Cloud", "./dev cloud up", "./dev cloud roll")

_ACTIONS = ("up", "roll", "status", "down")
_TASKS = ("web", "worker", "release")
# Of the environment: whoever has set them means an account.
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN")


def _definitions(parser: argparse._ActionsContainer) -> None:
    from ..ecs import export

    parser.add_argument(
        "--definitions",
        type=Path,
        default=Path(export.DIRECTORY),
        metavar="DIR",
        help="what ./dev export ecs wrote (%(default)s)",
    )


@command(
    "cloud",
    "run the exported tasks on ECS: on an emulator of this machine, or in an account of AWS",
    "./dev export ecs && ./dev cloud up --tenant TENANT",
    "./dev export ecs --image registry.example.com/backend:2 && ./dev cloud roll",
    "./dev cloud up --account 123456789012 --certificate ARN --parameters FILE",
    "./dev cloud down   deletes what `up` made, and nothing else",
    options=[
        option("action", choices=_ACTIONS, help="create, replace, show or delete it"),
        _definitions,
        option(
            "--account",
            default="",
            metavar="NUMBER",
            help="of AWS, with the credentials of the environment; default: the emulator",
        ),
        option(
            "--parameters",
            type=Path,
            metavar="FILE",
            help='JSON, {"NAME": "value"}, to put below the prefix; others must exist',
        ),
        option("--certificate", default="", metavar="ARN", help="of the load balancer"),
        repeated(
            "--subnet",
            metavar="ID",
            help="a subnet; may be repeated; default: of the default VPC",
        ),
        repeated(
            "--security-group",
            metavar="ID",
            help="a security group; may be repeated; default: of the default VPC",
        ),
        repeated(
            "--tenant",
            metavar="NAME",
            help="create it after the release unless it exists; may be repeated",
        ),
        *(
            option(
                f"--{service}",
                type=positive,
                metavar="N",
                help=f"how many tasks of {service}; default: as before, at first 1",
            )
            for service in ("web", "worker")
        ),
        YES,
    ],
    answer=shapes.CLOUD,
)
def cloud(run: Run) -> int:
    from ..cloud.local import CERTIFICATE, Emulator

    chosen = run.options
    _refuse_bad_options(run)
    plan = _plan(run)
    emulator = None if chosen.account else Emulator(run.checkout, run.terminal)
    if chosen.action == "down" and not run.confirmed([f"the stack {plan['family']} on ECS"]):
        return 0
    if emulator:
        if chosen.action == "up":
            emulator.start(plan["region"])
        elif not emulator.runs:
            if chosen.action == "down":
                emulator.stop()
                return _answered(run, {"deleted": []})
            raise DevError("the emulator does not run", "./dev cloud up")
        plan |= {"endpoint": emulator.endpoint, "certificate": CERTIFICATE}
        if chosen.action in ("up", "roll"):
            plan["parameters"] = {
                **emulator.parameters(plan["definitions"]),
                **plan["parameters"],
            }
    found = _asked(run, str(environment.ensure(run.checkout, run.terminal)), plan)
    if emulator and chosen.action == "down":
        emulator.stop()
    elif emulator:
        found["address"] = emulator.endpoint
    return _answered(run, found)


def _refuse_bad_options(run: Run) -> None:
    chosen, account = run.options, run.options.account
    if account and not re.fullmatch(r"\d{12}", account):
        raise UsageError(f"--account {account}: an account has twelve digits")
    if account and chosen.action == "up" and not chosen.certificate:
        raise UsageError(
            "a load balancer needs a certificate", "request one, then: --certificate ARN"
        )
    given = [
        name for name in _CREDENTIALS if run.checkout.variables.get(name) not in (None, "", "test")
    ]
    if given and not account:
        raise UsageError(
            f"{given[0]} is set, but no account is named",
            f"for the emulator: env -u {' -u '.join(given)} ./dev cloud {chosen.action}\n"
            f"for an account: ./dev cloud {chosen.action} --account 123456789012",
        )


def _plan(run: Run) -> dict[str, Any]:
    """What the script needs; its definitions are those that were exported."""
    chosen = run.options
    directory = run.checkout.root / chosen.definitions
    definitions = {name: _json(directory / f"{name}.json", "./dev export ecs") for name in _TASKS}
    (web,) = definitions["web"]["containerDefinitions"]
    variables = {one["name"]: one["value"] for one in web["environment"]}
    logs = web["logConfiguration"]["options"]
    return {
        "endpoint": None,
        "account": chosen.account,
        "family": definitions["web"]["family"].removesuffix("-web"),
        "region": logs["awslogs-region"],
        "prefix": logs["awslogs-group"],
        "definitions": definitions,
        "parameters": _json(chosen.parameters, "write it") if chosen.parameters else {},
        "port": web["portMappings"][0]["containerPort"],
        "probe_port": int(variables["WEB_PROBE_BIND"].rpartition(":")[2]),
        "probe_path": "/api/v1/health/live/",
        "certificate": chosen.certificate,
        "subnets": chosen.subnet,
        "security_groups": chosen.security_group,
        "tenants": chosen.tenant,
        "counts": {"web": chosen.web, "worker": chosen.worker},
    }


def _json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DevError(f"{path} cannot be read: {error}", remedy) from error
    if not isinstance(found, dict):
        raise DevError(f"{path} is not a JSON object", remedy)
    return found


def _asked(run: Run, python: str, plan: dict[str, Any]) -> dict[str, Any]:
    """The answer of the script that has boto3. Raises DevError with its problems."""
    lines = [""]
    with run.terminal.step(f"cloud {run.options.action}") as step:

        def hear(line: str) -> None:
            lines.append(line)
            if not line.startswith("{"):
                step.note(line)

        variables = {
            **run.checkout.variables,
            "CLOUD_PLAN": json.dumps(plan),
            "PYTHONWARNINGS": "ignore",
        }
        status = stream(
            [python, "-m", "devtools.cloud.account", run.options.action],
            hear,
            directory=run.checkout.root,
            environment=variables,
        )
        if status:
            raise DevError.of(_problems(lines))
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _problems(lines: list[str]) -> list[Problem]:
    try:
        return [Problem(**one) for one in json.loads(lines[-1])["problems"]]
    except (ValueError, KeyError, TypeError):
        return [Problem("the script that asks AWS failed", "\n".join(lines[-5:]))]


def _answered(run: Run, found: dict[str, Any]) -> int:
    run.answer(found)
    for deleted in found.get("deleted", ()):
        run.terminal.mark(Mark.GOOD, f"deleted {deleted}")
    for service in found.get("services", ()):
        good = service["running"] == service["desired"] and service["deployment"] == "COMPLETED"
        line = f"{service['definition']}  {service['running']} of {service['desired']} run"
        run.terminal.mark(
            Mark.GOOD if good else Mark.BUSY, f"{line}  {service['deployment'].lower()}"
        )
    if found.get("address"):
        run.terminal.say(f"  the load balancer: {found['address']}")
    return 0
