"""Declared and generated files: variables, parity, task definitions, the reference."""

from __future__ import annotations

import argparse

from .. import environment, project_table
from ..checkout import ROOT
from ..errors import FAILED, DevError, UsageError
from ..interpreter import Interpreter
from ..nearest import must_be_known, nearest
from ..services import WEB
from ..terminal import Mark
from . import shapes
from .options import assignment, flag, option, repeated
from .parsers import parser_of
from .registry import COMMANDS, GROUPS, ROOMS, Run, group

command = group("Environment", "./dev env DATABASE_URL", "./dev env --check", "./dev export ecs")


@command(
    "env",
    "show the variables in force and their sources; secrets are hidden",
    "./dev env",
    "./dev env DATABASE_URL --service worker",
    "./dev env --check   find variables that are not used, declared and set consistently",
    options=[
        option("name", nargs="?", metavar="NAME", help="only this variable, with all details"),
        option(
            "--service", default=WEB, metavar="SERVICE", help="the service to show (%(default)s)"
        ),
        flag(
            "--check", help="compare declarations, code and files; exit status 1 if they disagree"
        ),
    ],
    answer=shapes.ENV,
)
def env(run: Run) -> int:
    from ..contract import values
    from ..declared import compose, variables

    python = _python(run, *variables.MODULES)
    if run.options.check:
        return _check_contract(run, python)
    files = compose.load(run.checkout, python)
    declared = variables.load(run.checkout, python, files)
    name, service = run.options.name, run.options.service
    must_be_known("variable", [name] if name else [], declared)
    file = files[compose.LOCAL]
    if service not in file.services or not file.runs_our_code(service):
        ours = [other for other in file.services if file.runs_our_code(other)]
        raise UsageError(f"{service!r} is not a service of the backend", nearest(service, ours))
    shown = {name: declared[name]} if name else declared
    found = values.in_force(run.checkout, shown, file, run.engine, service)
    if run.json:
        run.answer({"engine": run.engine.name, **found.as_json()})
        return 0
    run.say_engine()
    for line in values.explained(found) if name else values.listed(found, run.terminal):
        run.terminal.say(line)
    for sentence in found.unknown:
        run.terminal.mark(Mark.WARNING, sentence)
    return 0


def _check_contract(run: Run, python: Interpreter) -> int:
    from ..contract import drift

    evidence = drift.gather(run.checkout, python)
    found = drift.findings(evidence)
    if run.json:
        run.answer([finding._asdict() for finding in found])
    elif found:
        raise DevError.of(finding.problem for finding in found)
    else:
        run.terminal.mark(Mark.GOOD, drift.summary(evidence))
    return FAILED if found else 0


@command(
    "parity",
    "show the differences between the local stack and production, with their reasons",
    "./dev parity",
    "exit status: 1 for a difference without a reason, or a reason without a difference",
    answer=shapes.PARITY,
)
def parity(run: Run) -> int:
    from ..contract import parity
    from ..declared import variables

    python = _python(run, *variables.MODULES)
    found = parity.compare(run.checkout, python)
    if run.json:
        run.answer(found.as_json())
        return FAILED if found.problems else 0
    parity.show(found, run.terminal)
    if found.problems:
        raise DevError.of(found.problems)
    return 0


def _export_options(parser: argparse._ActionsContainer) -> None:
    from ..ecs import export
    from ..ecs.target import ARCHITECTURES, Target

    shown = Target.of(project_table.name(ROOT), "")
    parser.add_argument(
        "--output",
        default=export.DIRECTORY,
        metavar="DIR",
        help="output directory (%(default)s, which git ignores)",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if DIR is outdated"
    )
    parser.add_argument(
        "--image",
        default="",
        metavar="IMAGE",
        help=f"the image, with its version; {export.IMAGE} if that is set",
    )
    for name, metavar, what in (
        ("family", "NAME", "prefix of the tasks' names"),
        ("region", "REGION", "region of the tasks, parameters and logs"),
        ("prefix", "PATH", "prefix of the SSM parameters, and name of the log group"),
        ("execution-role", "ARN", "role that reads the parameters and writes the logs"),
        ("task-role", "ARN", "role of the application"),
        ("file-system", "ID", "EFS file system for the volumes"),
    ):
        default = getattr(shown, name.replace("-", "_"))
        spelled = f"{what} (%(default)s)"
        parser.add_argument(f"--{name}", default=default, metavar=metavar, help=spelled)
    parser.add_argument(
        "--architecture",
        choices=ARCHITECTURES,
        default=shown.architecture,
        help="processors that the image was built for (%(default)s)",
    )


@command(
    "export",
    "write and check task definitions for ECS: web, worker, release",
    "./dev export ecs",
    "./dev export ecs --image registry.example.com/backend:2026-11-20 --output ecs",
    "./dev export ecs --set WEB_CONCURRENCY=4 --check",
    "./dev export ecs --architecture ARM64   Graviton; docker build --platform linux/arm64",
    options=[
        option("what", choices=["ecs"], help="task definitions for Amazon ECS"),
        _export_options,
        repeated(
            "--set",
            type=assignment,
            metavar="NAME=VALUE",
            help="a variable that is not secret, for all tasks; may be repeated",
        ),
        repeated(
            "--ssm",
            metavar="NAME",
            help="an optional variable, read from SSM in all tasks; may be repeated",
        ),
    ],
    answer=shapes.EXPORT,
)
def export(run: Run) -> int:
    from ..declared import compose, variables
    from ..ecs import export, tasks
    from ..ecs.target import Target

    options = run.options
    python = _python(run, *variables.MODULES, "botocore")
    files = compose.load(run.checkout, python)
    declared = variables.load(run.checkout, python, files)
    image = options.image or export.image(run.checkout, files)
    roles = ("execution_role", "task_role")
    chosen = ("family", "region", "prefix", *roles, "file_system", "architecture")
    target = Target.of(
        project_table.name(run.checkout.root),
        image,
        **{name: getattr(options, name) for name in chosen},
        given=dict(options.set),
        from_ssm=options.ssm,
    )
    made = export.made(run.checkout, files, declared, target)
    directory = run.checkout.root / options.output
    problems = export.judge(run.checkout, python, declared, made)
    if not problems and options.check:
        problems = export.differences(directory, made)
    if problems:
        raise DevError.of(problems)
    paths = [] if options.check else export.write(directory, made)
    notes = [note for task in made for note in task.notes]
    placeholders = list(target.placeholders())
    parameters = sorted({name for task in made for name in tasks.parameters(task)})
    run.answer(
        {
            "files": [
                {"path": str(path), "family": task.definition["family"]}
                for path, task in zip(paths, made)
            ],
            "notes": notes,
            "placeholders": placeholders,
            "parameters": parameters,
        }
    )
    if options.check:
        run.terminal.mark(Mark.GOOD, f"{options.output} is up to date")
        return 0
    for path, task in zip(paths, made):
        size = f"{int(task.definition['cpu']) / 1024:g} CPU, {task.definition['memory']} MiB"
        run.terminal.mark(Mark.GOOD, f"{path}  {task.definition['family']}  {size}")
    for note in (*notes, *(f"{one} was not given: using a placeholder" for one in placeholders)):
        run.terminal.mark(Mark.WARNING, note)
    run.terminal.say("")
    run.terminal.say("these parameters must exist in SSM:")
    for name in parameters:
        run.terminal.say(f"  {name}")
    return 0


@command(
    "reference",
    "write docs/reference.md and .env.example from their sources",
    "./dev reference",
    "./dev reference --check",
    options=[flag("--check", help="write nothing; exit status 1 if a file is outdated")],
    answer=shapes.REFERENCE,
)
def reference(run: Run) -> int:
    from .. import reference
    from ..declared import variables

    python = _python(run, *variables.MODULES)
    groups = {
        group: {
            one.name: reference.Described(one.summary, parser_of(one), one.answer)
            for one in COMMANDS.values()
            if one.group == group
        }
        for group in GROUPS
    }
    wanted = reference.texts(
        run.checkout, python, groups, ROOMS, {"problems": shapes.PROBLEMS, "help": shapes.HELP}
    )
    found = reference.outdated(run.checkout, wanted)
    if found and run.options.check:
        raise DevError.of(found)
    if found:
        reference.write(run.checkout, wanted)
    run.answer({"files": list(wanted), "changed": bool(found)})
    state = "written" if found else "already current"
    run.terminal.mark(Mark.GOOD, f"{', '.join(wanted)}: {state}")
    return 0


def _python(run: Run, *modules: str) -> Interpreter:
    """A Python that can import `modules`; installs them only if there is none."""
    # Not the engine's python_with: choosing an engine asks for a Docker daemon, which the checks of
    # a commit need not wait for.
    return (
        environment.find_with(run.checkout, *modules)
        or run.engine.image_python(*modules)
        or run.engine.install_python(run.terminal)
    )
