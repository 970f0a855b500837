"""The commands of ./dev, one function each: they parse, call an engine and print."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NoReturn

from . import acceptance, bench, completion, doctor, environment, locking, reference
from .bench import run as performance
from .bench.measure import Measure
from .checkout import Checkout
from .checks.result import Result, State
from .checks.surroundings import Surroundings
from .contract import compose, drift, parity, values, variables
from .ecs import export, tasks
from .ecs.target import Target
from .engines import AUTO, ENGINES, choose
from .engines import VARIABLE as DEV_ENGINE
from .engines.base import Engine
from .errors import FAILED, DevError, Problem, UsageError
from .health import MIGRATIONS
from .nearest import nearest
from .process import SIGNAL_BASE, hand_over
from .production import audit as auditing
from .production import inventory, rollout, secret_values
from .production.stack import ENVIRONMENT_FILE, ProductionStack
from .readiness import QUICK
from .services import WEB
from .snapshots import PREVIOUS, Snapshots, megabytes, remembered
from .status import StackStatus
from .terminal import Mark, Terminal, seconds, table
from .workspace.protocol import inside

INTERRUPTED = SIGNAL_BASE + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; every failure is printed with its remedy."""
    terminal = Terminal()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments), terminal)
    except DevError as error:
        for problem in error.problems:
            terminal.fail(problem)
        return error.exit_status
    except KeyboardInterrupt:
        terminal.say("\ninterrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, as `head` does; Python must not complain again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNAL_BASE + signal.SIGPIPE
    except Exception as error:
        traceback.print_exc()
        what = f"./dev itself is at fault: {type(error).__name__}: {error}"
        terminal.fail(Problem(what, "report it with the lines above"))
        return FAILED


@dataclass(frozen=True)
class Command:
    """A command: how it is shown, what it parses, what it does."""

    name: str
    group: str
    summary: str
    examples: Sequence[str]
    run: Callable[[Run], int]
    options: Callable[[argparse.ArgumentParser], None] | None
    passes_on: str


@dataclass
class Run:
    """One run of a command."""

    checkout: Checkout
    terminal: Terminal
    asked_engine: str
    options: argparse.Namespace
    rest: Sequence[str]

    @property
    def engine(self) -> Engine:
        """The engine that runs the stack, chosen when a command first needs one."""
        if not hasattr(self, "_engine"):
            self._engine = choose(self.asked_engine, self.checkout, self.terminal)
        return self._engine


STACK = "The stack"
INSIDE = "Inside it"
ENVIRONMENT = "Environment"
QUALITY = "Tests and requirements"
PRODUCTION = "Production"
HELP = "Help"
# In the order of `./dev help`, each with examples.
GROUPS = {
    STACK: ("./dev up", "./dev serve runserver", "./dev logs -f web worker"),
    INSIDE: ("./dev manage createsuperuser --tenant test1", "./dev snapshot save before-merge"),
    ENVIRONMENT: ("./dev env DATABASE_URL", "./dev env --check", "./dev export ecs"),
    QUALITY: ("./dev test -k health -x", "./dev lint", "./dev bench --list"),
    PRODUCTION: ("./dev secrets --domain shop.example.com", "./dev roll"),
    HELP: ("./dev doctor --fix", "./dev help snapshot"),
}

COMMANDS: dict[str, Command] = {}


def command(
    name: str,
    group: str,
    summary: str,
    *examples: str,
    options: Callable[[argparse.ArgumentParser], None] | None = None,
    passes_on: str = "",
) -> Callable[[Callable[[Run], int]], Callable[[Run], int]]:
    """Register a command. `passes_on` names the program that gets what ./dev does not know."""

    def register(run: Callable[[Run], int]) -> Callable[[Run], int]:
        COMMANDS[name] = Command(name, group, summary, examples, run, options, passes_on)
        return run

    return register


# The stack


def _up_options(parser: argparse.ArgumentParser) -> None:
    _start_options(parser)
    _debug_option(parser)
    _timeout_option(parser)


def _start_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--auto-ports",
        action="store_true",
        help="choose free ports in place of taken ones and remember them for this checkout; "
        "without Docker that is always done",
    )
    parser.add_argument(
        "--build",
        action="store_true",
        help="build the image even if nothing in it changed; without Docker, install anew",
    )


def _debug_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--debug",
        action="store_true",
        help="under a debugger that waits for an editor; edits restart what is debugged",
    )


def _timeout_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=180,
        metavar="SECONDS",
        help="give up when a service is not healthy by then (%(default)s)",
    )


@command(
    "up",
    STACK,
    "start every service, wait until all are healthy, print the addresses",
    "./dev up",
    "./dev up --auto-ports       beside another program that holds the ports",
    "./dev up --debug            with debuggers in web and worker, for an editor of this machine",
    "SERVER=runserver ./dev up   with reload from the start",
    options=_up_options,
)
def up(run: Run) -> int:
    _say_engine(run)
    began = time.monotonic()
    options = run.options
    changed = run.engine.up(
        auto_ports=options.auto_ports,
        build=options.build,
        debug=options.debug,
        timeout=options.timeout,
    )
    status = run.engine.status()
    took = seconds(time.monotonic() - began)
    done = f"up in {took}" if changed else f"already up, nothing changed  {took}"
    run.terminal.mark(Mark.GOOD, done + _served_by(status))
    _print_addresses(run.terminal, status)
    _warn_of_failing(run.terminal, status)
    return 0


def _down_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--volumes", action="store_true", help="delete the data as well: asks first"
    )
    _yes_option(parser)


def _yes_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask before deleting")


@command(
    "down",
    STACK,
    "stop and remove the services; the data stays",
    "./dev down",
    "./dev down --volumes   the data goes too",
    options=_down_options,
)
def down(run: Run) -> int:
    data = run.engine.data()
    if run.options.volumes and data and not _confirmed(run, data):
        return FAILED
    run.engine.down(volumes=run.options.volumes)
    if data and not run.options.volumes:
        run.terminal.say(f"  the data stays: {', '.join(data)}")
        run.terminal.say("  ./dev up goes on with it; ./dev down --volumes deletes it")
    return 0


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs: stable keys")


@command(
    "status",
    STACK,
    "show each service, the server that runs and what health says",
    "./dev status",
    "./dev status --json",
    "exit status: 0 when all is well or all is down, 1 when something should run and does not",
    options=_json_option,
)
def status(run: Run) -> int:
    found = run.engine.status()
    if run.options.json:
        run.terminal.say(json.dumps(found.as_json(), indent=2))
    else:
        _say_engine(run)
        _print_status(run.terminal, found)
    return FAILED if found.failing and not found.down else 0


def _logs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on as they are written")
    parser.add_argument("--tail", type=_positive, metavar="N", help="only the last N lines of each")
    _services_argument(parser)


def _services_argument(parser: argparse.ArgumentParser) -> None:
    services = parser.add_argument(
        "services", nargs="*", metavar="SERVICE", help="only these services"
    )
    services.completes = "services"


@command(
    "logs",
    STACK,
    "print the logs of all services, or of some",
    "./dev logs -f web worker",
    "./dev logs --tail 50 migrate",
    options=_logs_options,
)
def logs(run: Run) -> int:
    options = run.options
    return run.engine.logs(options.services, follow=options.follow, tail=options.tail)


def _restart_options(parser: argparse.ArgumentParser) -> None:
    _services_argument(parser)
    _timeout_option(parser)


@command(
    "restart",
    STACK,
    "restart all services, or some, and wait until they are healthy",
    "./dev restart worker",
    options=_restart_options,
)
def restart(run: Run) -> int:
    began = time.monotonic()
    run.engine.restart(run.options.services, timeout=run.options.timeout)
    run.terminal.mark(Mark.GOOD, f"restarted in {seconds(time.monotonic() - began)}")
    return 0


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", choices=["runserver", "gunicorn"], help="what shall serve")
    _debug_option(parser)
    _timeout_option(parser)


@command(
    "serve",
    STACK,
    "replace the web server; database, Redis and worker are not touched",
    "./dev serve runserver   code changes show without a restart",
    "./dev serve gunicorn    as production serves",
    "./dev serve gunicorn --debug   the same under a debugger: attach, then edit freely",
    options=_serve_options,
)
def serve(run: Run) -> int:
    server, debug = run.options.server, run.options.debug
    began = time.monotonic()
    if not run.engine.serve(server, debug=debug, timeout=run.options.timeout):
        run.terminal.mark(Mark.GOOD, f"{server} serves already")
        return 0
    run.terminal.mark(Mark.GOOD, f"{server} serves after {seconds(time.monotonic() - began)}")
    if debug:
        run.terminal.say(
            f"  attach an editor to localhost:{run.engine.debug_port}, then edit freely"
        )
    until = run.engine.serves_until
    run.terminal.say(f"  until {until}; to keep it, put SERVER={server} in .env")
    return 0


@command(
    "clean",
    STACK,
    "delete all that the stack made, its data and remembered ports too: asks first",
    "./dev clean",
    "./dev clean --yes   in a script",
    options=_yes_option,
)
def clean(run: Run) -> int:
    remains = run.engine.remains()
    if remains and not _confirmed(run, remains):
        return FAILED
    run.engine.clean()
    return 0


# Inside it


@command(
    "manage",
    INSIDE,
    "run a manage.py command as the database's owner",
    "./dev manage createsuperuser --tenant test1",
    "./dev manage showmigrations",
    passes_on="manage.py",
)
def manage(run: Run) -> int:
    return run.engine.manage(run.rest)


@command(
    "migrate",
    INSIDE,
    "migrate every schema and make missing tenants, as a start-up does",
    "./dev migrate",
    "./dev migrate products 0001   what follows goes to manage.py migrate",
    passes_on="manage.py migrate",
)
def migrate(run: Run) -> int:
    return run.engine.manage(["migrate", *run.rest]) if run.rest else run.engine.release()


@command(
    "makemigrations",
    INSIDE,
    "write migrations for changed models; the files belong to you",
    "./dev makemigrations",
    "./dev makemigrations products --name add_price",
    passes_on="manage.py makemigrations",
)
def makemigrations(run: Run) -> int:
    return run.engine.manage(["makemigrations", *run.rest], writes_code=True)


@command(
    "shell",
    INSIDE,
    "open Django's shell in web, with web's rights",
    "./dev shell",
    "./dev shell -c 'from django.conf import settings; print(settings.DEBUG)'",
    passes_on="manage.py shell",
)
def shell(run: Run) -> int:
    return run.engine.shell(run.rest)


@command(
    "psql",
    INSIDE,
    "open psql on the application's database, as superuser",
    "./dev psql",
    "./dev psql -c 'SELECT * FROM tenant_config'",
    passes_on="psql",
)
def psql(run: Run) -> int:
    return run.engine.psql(run.rest)


def _snapshot_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["save", "restore", "list", "delete"])
    name = parser.add_argument("name", nargs="?", metavar="NAME", help="of the snapshot")
    name.completes = "snapshots"
    parser.add_argument(
        "--replace", action="store_true", help="save over a snapshot of the same name"
    )
    _yes_option(parser)
    _json_option(parser)


@command(
    "snapshot",
    INSIDE,
    "keep the whole database under a name, and put it back",
    "./dev snapshot save before-merge",
    "./dev snapshot list",
    "./dev snapshot restore before-merge   what was there is kept as `previous`",
    "./dev snapshot delete before-merge",
    options=_snapshot_options,
)
def snapshot(run: Run) -> int:
    options = run.options
    if options.action != "list" and not options.name:
        raise UsageError("which snapshot?", f"./dev snapshot {options.action} NAME")
    with run.checkout.lock(run.terminal, "snapshot"):
        return _SNAPSHOT_ACTIONS[options.action](run, Snapshots(run.engine, run.checkout))


def _save_snapshot(run: Run, snapshots: Snapshots) -> int:
    name = run.options.name
    with run.terminal.step(f"saving {name}"):
        made = snapshots.save(name, replace=run.options.replace)
    run.terminal.say(f"  {megabytes(made.size)}; put it back: ./dev snapshot restore {name}")
    return 0


def _restore_snapshot(run: Run, snapshots: Snapshots) -> int:
    name = run.options.name
    with run.terminal.step(f"restoring {name}"):
        snapshots.restore(name)
    run.terminal.say(f"  what was there: ./dev snapshot restore {PREVIOUS}")
    try:
        run.engine.empty_cache()
        run.terminal.say("  the cache is empty, so that nothing of before is shown; log in anew")
    except DevError as error:
        what = f"the cache still holds what was there before: {error}"
        run.terminal.warn(Problem(what, "./dev restart redis, or wait until it is out of date"))
    return _follow_restored(run)


def _follow_restored(run: Run) -> int:
    """Wait until web answers from the restored database; say what it still lacks."""
    web = next(one for one in run.engine.status().services if one.name == WEB)
    if not web.since:
        run.terminal.say("  web is not up: ./dev up also applies what is pending")
        return 0
    with run.terminal.step("waiting for web and worker to come back"):
        failing = _failing_after(run, patience=60)
    pending = failing.pop(MIGRATIONS, "")
    if pending:
        run.terminal.warn(Problem(pending, "./dev migrate"))
    for name, reason in failing.items():
        run.terminal.fail(Problem(f"{name}: {reason}", "./dev status   looks again"))
    return FAILED if failing else 0


def _failing_after(run: Run, patience: float) -> dict[str, str]:
    """What web says is wrong once nothing else than migrations is, or `patience` seconds passed."""
    end = time.monotonic() + patience
    while True:
        answer = run.engine.status().health
        failing = answer.failing if answer else {"web": "it does not answer at its health address"}
        if not failing.keys() - {MIGRATIONS} or time.monotonic() > end:
            return failing
        time.sleep(QUICK)


def _list_snapshots(run: Run, snapshots: Snapshots) -> int:
    found = snapshots.list()
    if run.options.json:
        run.terminal.say(json.dumps([one.as_json() for one in found], indent=2))
        return 0
    if not found:
        run.terminal.say("no snapshots; save one: ./dev snapshot save NAME")
        return 0
    rows = [["NAME", "SIZE", "SAVED (UTC)", "BRANCH", "TENANTS", "MIGRATIONS"]]
    for one in found:
        when = one.saved[:16].replace("T", " ")
        tenants = str(len(one.tenants))
        rows.append([one.name, megabytes(one.size), when, one.branch, tenants, one.migrations])
    head, *lines = table(rows)
    run.terminal.say(run.terminal.paint(head, "1"))
    for line in lines:
        run.terminal.say(line)
    return 0


def _delete_snapshot(run: Run, snapshots: Snapshots) -> int:
    found = snapshots.get(run.options.name)
    if not _confirmed(run, [f"snapshot {found.name}, {megabytes(found.size)}"]):
        return FAILED
    snapshots.delete(found.name)
    run.terminal.mark(Mark.GOOD, f"deleted {found.name}")
    return 0


_SNAPSHOT_ACTIONS = {
    "save": _save_snapshot,
    "restore": _restore_snapshot,
    "list": _list_snapshots,
    "delete": _delete_snapshot,
}


# Environment and production


def _env_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="only this variable, with all of it"
    )
    parser.add_argument(
        "--service", default=WEB, metavar="SERVICE", help="whose values (%(default)s)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare declarations, code and files; exit status 1 if they disagree",
    )
    _json_option(parser)


@command(
    "env",
    ENVIRONMENT,
    "show the variables in force and where each is from; secrets are hidden",
    "./dev env",
    "./dev env DATABASE_URL --service worker",
    "./dev env --check   every variable that is used, declared or given on one side only",
    options=_env_options,
)
def env(run: Run) -> int:
    python = environment.with_modules(run.checkout, run.terminal, *variables.MODULES)
    if run.options.check:
        return _check_contract(run, python)
    files = compose.load(run.checkout, python)
    declared = variables.load(run.checkout, python, files)
    name, service = run.options.name, run.options.service
    if name and name not in declared:
        raise UsageError(f"there is no variable {name!r}", nearest(name, declared))
    file = files[compose.LOCAL]
    if service not in file.services or not file.runs_our_code(service):
        ours = [other for other in file.services if file.runs_our_code(other)]
        raise UsageError(f"{service!r} is no service of the backend", nearest(service, ours))
    shown = {name: declared[name]} if name else declared
    found = values.in_force(run.checkout, shown, file, run.engine, service)
    if run.options.json:
        run.terminal.say(json.dumps({"engine": run.engine.name, **found.as_json()}, indent=2))
        return 0
    _say_engine(run)
    for line in values.explained(found) if name else values.listed(found, run.terminal):
        run.terminal.say(line)
    for sentence in found.unknown:
        run.terminal.mark(Mark.WARNING, sentence)
    return 0


def _check_contract(run: Run, python: Path) -> int:
    evidence = drift.gather(run.checkout, python)
    found = drift.findings(evidence)
    if run.options.json:
        run.terminal.say(json.dumps([finding._asdict() for finding in found], indent=2))
    elif found:
        raise DevError.of(finding.problem for finding in found)
    else:
        run.terminal.mark(Mark.GOOD, drift.summary(evidence))
    return FAILED if found else 0


@command(
    "parity",
    ENVIRONMENT,
    "show where the local stack and production differ, each difference with its reason",
    "./dev parity",
    "exit status: 1 for a difference without a reason, or a reason without a difference",
    options=_json_option,
)
def compared(run: Run) -> int:
    python = environment.with_modules(run.checkout, run.terminal, *variables.MODULES)
    found = parity.compare(run.checkout, python)
    if run.options.json:
        run.terminal.say(json.dumps(found.as_json(), indent=2))
        return FAILED if found.problems else 0
    parity.show(found, run.terminal)
    if found.problems:
        raise DevError.of(found.problems)
    return 0


def _export_options(parser: argparse.ArgumentParser) -> None:
    shown = Target("")
    parser.add_argument("what", choices=["ecs"], help="task definitions for Amazon ECS")
    parser.add_argument(
        "--output",
        default=export.DIRECTORY,
        metavar="DIR",
        help="where the files go (%(default)s, which git ignores)",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if DIR holds other files"
    )
    parser.add_argument(
        "--image",
        default="",
        metavar="IMAGE",
        help=f"with its version; {export.IMAGE} if that is set",
    )
    for option, metavar, what in (
        ("family", "NAME", "what the names of the tasks begin with"),
        ("region", "REGION", "where the tasks, parameters and logs are"),
        ("prefix", "PATH", "what the names of SSM parameters begin with, and the log group"),
        ("execution-role", "ARN", "reads the parameters, writes the logs"),
        ("task-role", "ARN", "what the application itself may do"),
        ("file-system", "ID", "EFS that holds the volumes"),
    ):
        default = getattr(shown, option.replace("-", "_"))
        spelled = f"{what} (%(default)s)"
        parser.add_argument(f"--{option}", default=default, metavar=metavar, help=spelled)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="a variable that is no secret, for all tasks; may be repeated",
    )
    parser.add_argument(
        "--ssm",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable with a default, for all tasks from SSM; may be repeated",
    )


@command(
    "export",
    ENVIRONMENT,
    "write and check task definitions for ECS: web, worker, release",
    "./dev export ecs",
    "./dev export ecs --image registry.example.com/homeport-backend:2026-11-20 --output ecs",
    "./dev export ecs --set WEB_CONCURRENCY=4 --check",
    options=_export_options,
)
def exported(run: Run) -> int:
    options = run.options
    python = environment.with_modules(
        run.checkout, run.terminal, *variables.MODULES, "botocore", "cfnlint"
    )
    files = compose.load(run.checkout, python)
    declared = variables.load(run.checkout, python, files)
    image = options.image or run.checkout.chosen(export.IMAGE) or export.default_image(files)
    chosen = ("family", "region", "prefix", "execution_role", "task_role", "file_system")
    target = Target(
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
    if options.check:
        run.terminal.mark(Mark.GOOD, f"{options.output} is what an export would write")
        return 0
    for path, task in zip(export.write(run.checkout, directory, made), made):
        size = f"{int(task.definition['cpu']) / 1024:g} CPU, {task.definition['memory']} MiB"
        run.terminal.mark(Mark.GOOD, f"{path}  {task.definition['family']}  {size}")
    for note in (note for task in made for note in task.notes):
        run.terminal.mark(Mark.WARNING, note)
    for option in target.placeholders():
        run.terminal.mark(Mark.WARNING, f"{option} was not given: a placeholder stands for it")
    run.terminal.say("")
    run.terminal.say("these parameters must exist in SSM:")
    for name in sorted({name for task in made for name in tasks.parameters(task)}):
        run.terminal.say(f"  {name}")
    return 0


def _reference_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if a file is outdated"
    )


@command(
    "reference",
    ENVIRONMENT,
    "write docs/reference.md and .env.example from what they describe",
    "./dev reference",
    "./dev reference --check",
    options=_reference_options,
)
def referred(run: Run) -> int:
    python = environment.with_modules(run.checkout, run.terminal, *variables.MODULES)
    groups = {
        group: {
            one.name: (one.summary, _parser(one)) for one in COMMANDS.values() if one.group == group
        }
        for group in GROUPS
    }
    wanted = reference.texts(run.checkout, python, groups)
    found = reference.outdated(run.checkout, wanted)
    if found and run.options.check:
        raise DevError.of(found)
    if found:
        reference.write(run.checkout, wanted)
    state = "written" if found else "already current"
    run.terminal.mark(Mark.GOOD, f"{', '.join(wanted)}: {state}")
    return 0


# Tests and requirements


def _test_options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--workspace", action="store_true", help="the tests of ./dev and of the files"
    )
    which.add_argument("--stack", action="store_true", help="the tests that bring a whole stack up")
    which.add_argument("--all", action="store_true", help="all three, one after the other")
    _start_options(parser)


@command(
    "test",
    QUALITY,
    "run the backend's tests; exit status 0 only if all passed",
    "./dev test",
    "./dev test -k health -x     what ./dev does not know goes to pytest",
    "./dev test -- --help        and all after --",
    "./dev test --workspace      needs Python 3.11 or newer on this machine",
    "./dev test --stack          brings up stacks of their own; yours is not touched",
    options=_test_options,
    passes_on="pytest",
)
def test(run: Run) -> int:
    options = run.options
    suites = {
        "backend": lambda: _backend_tests(run),
        "workspace": lambda: _pytest(run, "not stack", "configuration", "devtools"),
        "stack": lambda: _pytest(run, "stack", "stack", "devtools"),
    }
    chosen = [name for name in suites if options.all or getattr(options, name, False)]
    statuses = [_test_suite(run.terminal, name, suites[name]) for name in chosen or ["backend"]]
    return next(filter(None, statuses), 0)


def _backend_tests(run: Run) -> int:
    _say_engine(run)
    options = run.options
    return run.engine.test(run.rest, auto_ports=options.auto_ports, build=options.build)


def _test_suite(terminal: Terminal, name: str, suite: Callable[[], int]) -> int:
    began = time.monotonic()
    status = suite()
    took = seconds(time.monotonic() - began)
    if status == 0:
        terminal.mark(Mark.GOOD, f"{name} tests passed  {took}")
    else:
        terminal.mark(Mark.BAD, f"{name} tests failed (exit status {status})  {took}")
    return status


def _pytest(run: Run, marked: str, *directories: str) -> int:
    if inside(run.checkout.root):
        raise DevError(
            "the tests that bring stacks up cannot run inside the workspace",
            "on your machine: ./dev test --workspace, ./dev test --stack",
        )
    python = environment.ensure(run.checkout, run.terminal)
    paths = [f"tests/{name}" for name in directories]
    return hand_over(
        [str(python), "-m", "pytest", *paths, "-m", marked, *run.rest],
        directory=run.checkout.root,
        environment=run.checkout.variables,
    )


@command(
    "lint",
    QUALITY,
    "run every check of a commit over all files",
    "./dev lint",
    "./dev lint --hook-stage manual ruff   what follows goes to pre-commit run",
    passes_on="pre-commit run",
)
def lint(run: Run) -> int:
    python = environment.ensure(run.checkout, run.terminal)
    return hand_over(
        [str(python), "-m", "pre_commit", "run", "--all-files", *run.rest],
        directory=run.checkout.root,
        environment=environment.activated(run.checkout),
    )


def _bench_options(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_argument("parts", nargs="*", metavar="PART", help="only these; else all")
    parts.completes = "parts"
    parser.add_argument("--list", action="store_true", help="name the parts and measure nothing")
    parser.add_argument(
        "--rounds", type=_positive, default=3, metavar="N", help="how often (%(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="keep the figures in FILE")
    parser.add_argument(
        "--from",
        dest="kept",
        metavar="FILE",
        type=Path,
        help="show what FILE keeps; measure nothing",
    )
    parser.add_argument(
        "--write-docs", action="store_true", help=f"put the figures into {performance.PAGE}"
    )


@command(
    "bench",
    QUALITY,
    "measure how long things take, beside what they should",
    "./dev bench --list",
    "./dev bench api snapshot --rounds 5   of the running stack",
    "./dev bench --json all.json           every part: takes long",
    "./dev bench --from all.json --write-docs",
    "exit status: 1 when a part cannot be measured; a missed goal fails nothing",
    options=_bench_options,
)
def measured(run: Run) -> int:
    options = run.options
    _must_be_known("part", options.parts, bench.PARTS)
    if options.list:
        for line in table([(name, bench.about(name)) for name in bench.PARTS]):
            run.terminal.say(line)
        return 0
    found, status = _kept(run) if options.kept else _measure(run)
    for name, one in found.items():
        run.terminal.say("")
        run.terminal.heading(f"{name}: {one['about']}")
        for line in bench.report([Measure.of_json(facts) for facts in one["measures"]]):
            run.terminal.say(f"  {line}")
    if options.json:
        performance.write(options.json, found)
    if options.write_docs:
        performance.write_docs(run.checkout, found)
        run.terminal.mark(Mark.GOOD, f"wrote {performance.PAGE}")
    return status


def _kept(run: Run) -> tuple[dict[str, Any], int]:
    """The wanted parts of a file, which must be there."""
    kept = performance.load(run.options.kept)
    wanted = run.options.parts or [*kept]
    missing = [name for name in wanted if name not in kept]
    if missing or not kept:
        what = f"{run.options.kept} does not keep {', '.join(missing) or 'any part'}"
        raise DevError(what, "measure it: ./dev bench PART --json FILE")
    return {name: kept[name] for name in wanted}, 0


def _measure(run: Run) -> tuple[dict[str, Any], int]:
    """What was measured of the wanted parts; one that cannot be is said, and the others are."""
    asked = {DEV_ENGINE: run.asked_engine} if run.asked_engine else {}
    checkout = Checkout(run.checkout.root, {**run.checkout.variables, **asked})
    found, status = {}, 0
    for name in run.options.parts or bench.PARTS:
        try:
            found[name] = performance.part(checkout, run.terminal, name, run.options.rounds)
        except DevError as error:
            status = FAILED
            for problem in error.problems:
                run.terminal.fail(Problem(f"{name}: {problem.what}", problem.remedy))
    return found, status


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "criteria", nargs="*", metavar="ID", help="LDE-1.1, or the beginning of some: LDE-1, BP"
    )
    parser.add_argument(
        "--quick", action="store_true", help="leave out what takes a minute or more"
    )
    parser.add_argument("--markdown", metavar="FILE", help="write a page with the outcomes")
    _json_option(parser)


@command(
    "verify",
    QUALITY,
    "check the acceptance criteria against the running stack",
    "./dev verify --quick",
    "./dev verify LDE-1.1 BP",
    "./dev verify --markdown docs/acceptance.md",
    "exit status: 0 when none failed, 1 when one did; what a check changes, it takes back",
    options=_verify_options,
)
def verify(run: Run) -> int:
    options, terminal = run.options, run.terminal
    criteria = acceptance.choose(options.criteria)
    shown = None if options.json else terminal
    stack = acceptance.Stack(run.checkout, run.engine.name, acceptance.progress(terminal))
    stack.must_be_up()
    if not options.json:
        _say_engine(run)
    outcomes = acceptance.verify(stack, criteria, quick=options.quick, terminal=shown)
    if options.json:
        terminal.say(json.dumps(acceptance.as_json(outcomes, stack.engine), indent=2))
    else:
        terminal.say("")
        for line in acceptance.as_table(outcomes):
            terminal.say(line)
    if options.markdown:
        acceptance.write_page(options.markdown, outcomes, stack.engine)
    return FAILED if acceptance.failed(outcomes) else 0


def _lock_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if a lock is outdated"
    )


@command(
    "lock",
    QUALITY,
    "lock requirements/*.in with versions and hashes into requirements/*.txt",
    "./dev lock",
    "./dev lock --upgrade",
    options=_lock_options,
)
def lock(run: Run) -> int:
    python = environment.ensure_uv(run.checkout, run.terminal)
    if run.options.check:
        outdated = locking.outdated(run.checkout, python, run.terminal)
        if outdated:
            raise DevError(f"outdated locks: {', '.join(outdated)}", "write them anew: ./dev lock")
        return 0
    locking.write(run.checkout, python, run.terminal, upgrade=run.options.upgrade)
    return 0


def _audit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit status 1 also when packages could not be looked up",
    )


@command(
    "audit",
    QUALITY,
    "look the locked packages up in the list of known weaknesses; needs the network",
    "./dev audit",
    "exit status: 1 when a weakness is known; what could not be looked up is said, and counts",
    "with --strict only, so that a service that is down fails no build",
    options=_audit_options,
)
def audit(run: Run) -> int:
    found = auditing.audit(run.checkout, environment.ensure(run.checkout, run.terminal))
    for one in found.findings:
        mend = ", ".join(one.mended_in) or "no version mends it yet"
        run.terminal.fail(
            Problem(
                f"{one.package} {one.version}: {one.advisory}", f"{mend}   ./dev lock --upgrade"
            )
        )
    if found.not_looked_up:
        count = len(found.not_looked_up)
        names = ", ".join(found.not_looked_up[:5]) + (", ..." if count > 5 else "")
        run.terminal.warn(
            Problem(
                f"NOT AUDITED: {count} packages could not be looked up: {names}",
                "is the advisory service of PyPI reachable from here? then: ./dev audit",
            )
        )
    if found.looked_up and not found.findings:
        run.terminal.mark(Mark.GOOD, f"no known weakness in {found.looked_up} packages")
    return FAILED if found.findings or (run.options.strict and found.not_looked_up) else 0


# Production


def _secrets_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--domain", default="", metavar="DOMAIN", help="each tenant is to answer at NAME.DOMAIN"
    )


@command(
    "secrets",
    PRODUCTION,
    f"write {ENVIRONMENT_FILE} with random secrets, for a new production stack",
    "./dev secrets --domain shop.example.com",
    options=_secrets_options,
)
def write_secrets(run: Run) -> int:
    left = secret_values.write(run.checkout, run.options.domain)
    run.terminal.mark(Mark.GOOD, f"{ENVIRONMENT_FILE} written, readable to you alone")
    run.terminal.say(f"  to fill in: {', '.join(left)}")
    command = " ".join(ProductionStack(run.checkout).command)
    run.terminal.say(f"  then: {command} up --detach --wait --build")
    return 0


def _roll_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env-file",
        default=ENVIRONMENT_FILE,
        metavar="FILE",
        help="environment of the stack (%(default)s)",
    )


@command(
    "roll",
    PRODUCTION,
    "replace web and worker of the production stack one after the other, while they serve",
    "./dev roll   after docker compose ... build, or with another BACKEND_IMAGE",
    options=_roll_options,
)
def roll(run: Run) -> int:
    began = time.monotonic()
    rollout.roll(ProductionStack(run.checkout, run.options.env_file), run.terminal)
    run.terminal.mark(Mark.GOOD, f"rolled in {seconds(time.monotonic() - began)}")
    return 0


def _sbom_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image",
        default="homeport-backend:production",
        metavar="IMAGE",
        help="what to look into (%(default)s)",
    )


@command(
    "sbom",
    PRODUCTION,
    "print a bill of materials of the production image: CycloneDX, JSON",
    "./dev sbom > sbom.json",
    f"refuses an image that holds other packages than {inventory.LOCK}",
    options=_sbom_options,
)
def sbom(run: Run) -> int:
    # Whatever else is said must not end up in the document.
    aside = Terminal(out=sys.stderr)
    python = environment.ensure(run.checkout, aside)
    document = inventory.bill_of_materials(run.checkout, python, run.options.image)
    run.terminal.say(json.dumps(document, indent=2))
    return 0


# Help


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    checks = parser.add_argument(
        "checks", nargs="*", metavar="CHECK", help=f"only {_either(doctor.CHECKS)}"
    )
    checks.completes = "checks"
    parser.add_argument(
        "--fix", action="store_true", help="mend what can be mended; asks before deleting"
    )
    _yes_option(parser)
    _json_option(parser)


@command(
    "doctor",
    HELP,
    "look for what is wrong with machine, checkout and stack, and say how to mend it",
    "./dev doctor",
    "./dev doctor --fix",
    "./dev doctor ports volume   only these checks",
    "exit status: 0 when nothing is wrong, 1 when something is; warnings do not count",
    options=_doctor_options,
)
def examined(run: Run) -> int:
    options = run.options
    _must_be_known("check", options.checks, doctor.CHECKS)
    done: dict[str, list[str]] = {}
    # What is read by a program is nothing but JSON.
    terminal = Terminal(out=sys.stderr) if options.json else run.terminal
    here = Surroundings(run.checkout, terminal, run.asked_engine)
    results = doctor.examine(here, options.checks)
    if options.fix:
        done = doctor.mend(here, results, lambda what: _agreed(run, what))
        # Anew: nothing of what was seen before may be true now.
        here = Surroundings(
            Checkout(run.checkout.root, run.checkout.variables), run.terminal, run.asked_engine
        )
        results = doctor.examine(here, options.checks)
    if options.json:
        run.terminal.say(json.dumps(doctor.as_json(results, done), indent=2))
    else:
        run.terminal.say(_engine_line(run.terminal, here.engine))
        _print_results(run.terminal, results, done)
    return 0 if doctor.well(results) else FAILED


_MARKS = {
    State.OK: Mark.GOOD,
    State.WARNING: Mark.WARNING,
    State.WRONG: Mark.BAD,
    State.NOT_APPLICABLE: Mark.WAITING,
}


def _print_results(
    terminal: Terminal, results: Sequence[Result], done: dict[str, list[str]]
) -> None:
    width = max(len(result.name) for result in results)
    for result in results:
        first, *others = result.finding.splitlines()
        if result.state is State.NOT_APPLICABLE:
            first = terminal.faint(f"not applicable: {first}")
        terminal.mark(_MARKS[result.state], f"{result.name:<{width}}  {first}")
        for line in others:
            terminal.say(f"  {'':<{width}}  {line}")
        for line in result.remedy.splitlines() if result.mendable else ():
            terminal.say(f"  {'':<{width}}  {terminal.paint('->', '36')} {line}")
    for name, lines in done.items():
        for line in lines or ["nothing could be mended"]:
            terminal.mark(Mark.GOOD if lines else Mark.WAITING, f"{name}: {line}")
    counts = {state: sum(result.state is state for result in results) for state in State}
    terminal.say("")
    terminal.say(", ".join(f"{n} {state.value}" for state, n in counts.items() if n))


def _agreed(run: Run, what: str) -> bool:
    """Whether whoever sits here agrees; nobody does where nobody can be asked."""
    if run.options.yes:
        return True
    if run.options.json or not sys.stdin.isatty():
        return False
    return input(f"{what}? [y/N] ").strip().lower() in ("y", "yes")


def _completion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell",
        choices=[*completion.SHELLS, completion.WORDS],
        help=f"whose script to print; {completion.WORDS}: what may be typed next, for the scripts",
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


@command(
    "completion",
    HELP,
    "print what bash, zsh or fish needs to complete commands, options and names",
    "source <(./dev completion bash)      in ~/.bashrc, with the path of the checkout",
    "source <(./dev completion zsh)       in ~/.zshrc, after compinit",
    "./dev completion fish | source       in ~/.config/fish/config.fish",
    options=_completion_options,
)
def completed(run: Run) -> int:
    options = run.options
    if options.shell != completion.WORDS:
        run.terminal.say(completion.script(options.shell).rstrip())
        return 0
    values = {
        "engines": lambda: [AUTO, *ENGINES],
        "services": lambda: completion.services(run.checkout),
        "snapshots": lambda: remembered(run.checkout),
        "checks": lambda: doctor.CHECKS,
        "parts": lambda: bench.PARTS,
    }
    summaries = {name: one.summary for name, one in COMMANDS.items()}
    found = completion.candidates(
        options.words, summaries, _top_parser(), lambda name: _parser(COMMANDS[name]), values
    )
    for word, about in found:
        run.terminal.say(f"{word}\t{about}")
    return 0


# What they print


def _say_engine(run: Run) -> None:
    run.terminal.say(_engine_line(run.terminal, run.engine))


def _engine_line(terminal: Terminal, engine: Engine) -> str:
    return terminal.faint(f"engine: {engine.name} ({engine.reason})")


def _print_status(terminal: Terminal, found: StackStatus) -> None:
    rows = [["SERVICE", "STATE", "UP FOR", "ADDRESS"]]
    for service in found.services:
        up_for = seconds(service.uptime_seconds) if service.uptime_seconds is not None else ""
        rows.append([service.name, service.state, up_for, service.address or ""])
    head, *lines = table(rows)
    terminal.say("  " + terminal.paint(head, "1"))
    for line, service in zip(lines, found.services):
        mark = Mark.GOOD if service.well else Mark.WAITING if found.down else Mark.BAD
        terminal.mark(mark, line)
    if found.down:
        terminal.say("  start it: ./dev up")
        return
    if found.health:
        terminal.say("")
        terminal.heading(f"health{_served_by(found)}")
        for name, entry in found.health.checks.items():
            well = name not in found.health.failing
            answer = f"{entry.get('latency_ms', '?')} ms" if well else found.health.failing[name]
            terminal.mark(Mark.GOOD if well else Mark.BAD, f"{name:<10}  {answer}")
    _print_debuggers(terminal, found)
    _print_addresses(terminal, found)


def _print_debuggers(terminal: Terminal, found: StackStatus) -> None:
    if found.debuggers:
        terminal.say("")
        terminal.heading("debuggers")
    for name, debugger in found.debuggers.items():
        mark = Mark.GOOD if debugger.listening else Mark.BAD
        terminal.mark(mark, f"{name:<10}  {debugger.words}")


def _print_addresses(terminal: Terminal, found: StackStatus) -> None:
    tenants = {f"tenant {name}": address for name, address in found.tenants.items()}
    addresses = {**found.addresses, **tenants}
    if addresses:
        terminal.say("")
    for line in table(list(addresses.items())) if addresses else ():
        terminal.say(f"  {line}")


def _warn_of_failing(terminal: Terminal, found: StackStatus) -> None:
    for name, reason in found.failing.items():
        terminal.warn(Problem(f"{name}: {reason}", "./dev status   looks again"))
    if found.health is None:
        terminal.warn(Problem("web does not answer at its health address", "./dev logs web"))


def _served_by(found: StackStatus) -> str:
    if not found.health:
        return ""
    reload = " with reload" if found.reload else ""
    return f", served by {found.health.server}{reload}"


def _confirmed(run: Run, remains: Sequence[str]) -> bool:
    run.terminal.say("this will be deleted:")
    for line in remains:
        run.terminal.say(f"  {line}")
    if run.options.yes:
        return True
    if not sys.stdin.isatty():
        raise DevError("nobody is here to confirm that", "add --yes to delete without being asked")
    answer = input("delete all of it? [y/N] ").strip().lower()
    if answer not in ("y", "yes"):
        run.terminal.say("nothing was deleted")
        return False
    return True


# The command line


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints have the shape of every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self._near(message)}{self.prog} --help")

    def _near(self, message: str) -> str:
        """A line that offers what may have been meant; empty where nothing is like it."""
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown:
            options = [text for action in self._actions for text in action.option_strings]
            return f"{nearest(unknown.group(1), options)}\n"
        choice = re.match(r"argument (\S+): invalid choice: '(.*?)'", message)
        for action in self._actions if choice else ():
            if choice.group(1) in (action.dest, action.metavar, *action.option_strings):
                return f"{nearest(choice.group(2), map(str, action.choices or ()))}\n"
        return ""


def _dispatch(arguments: list[str], terminal: Terminal) -> int:
    if os.name == "nt":
        raise UsageError("./dev runs on Linux and macOS", "on Windows, use it inside WSL 2")
    top = _top_parser()
    top.add_argument("words", nargs=argparse.REMAINDER)
    given = top.parse_args(arguments)
    name, *words = given.words or ["help"]
    if name == "help" or given.help:
        return _help(terminal, words)
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}", nearest(name, [*COMMANDS, "help"]))
    chosen = COMMANDS[name]
    options, rest = _parse(chosen, words)
    asked = getattr(options, "engine", "") or given.engine
    return chosen.run(Run(Checkout(), terminal, asked, options, rest))


def _top_parser() -> _Parser:
    """What may stand before a command."""
    top = _Parser(prog="./dev", add_help=False, allow_abbrev=False)
    _engine_option(top)
    top.add_argument("-h", "--help", action="store_true", help="the commands")
    return top


def _parse(chosen: Command, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = _parser(chosen)
    if not chosen.passes_on:
        return parser.parse_args(words), []
    if not chosen.options and words[:1] not in (["-h"], ["--help"]):
        return argparse.Namespace(), words
    cut = words.index("--") if "--" in words else len(words)
    options, rest = parser.parse_known_args(words[:cut])
    _refuse_mistyped(chosen, parser, rest)
    return options, rest + words[cut + 1 :]


def _refuse_mistyped(chosen: Command, parser: _Parser, rest: Sequence[str]) -> None:
    """What is nearly an option of ./dev is not passed on as one of the other program."""
    own = [text for action in parser._actions for text in action.option_strings]
    for word in rest if chosen.options else ():
        near = difflib.get_close_matches(word.partition("=")[0], own, n=1, cutoff=0.8)
        if word.startswith("--") and near:
            raise UsageError(
                f"{parser.prog} has no option {word}",
                f"did you mean {near[0]}?\n"
                f"if it is one of {chosen.passes_on}: {parser.prog} -- {word}",
            )


def _parser(chosen: Command) -> _Parser:
    usage_tail = f" [ARGUMENTS OF {chosen.passes_on}]" if chosen.passes_on else ""
    parser = _Parser(
        prog=f"./dev {chosen.name}",
        description=chosen.summary[0].upper() + chosen.summary[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {example}" for example in chosen.examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if chosen.options:
        chosen.options(parser)
    _engine_option(parser)
    parser.usage = parser.format_usage().removeprefix("usage: ").rstrip() + usage_tail
    return parser


def _engine_option(parser: argparse.ArgumentParser) -> None:
    engine = parser.add_argument(
        "--engine", default="", metavar="ENGINE", help=f"auto or {', '.join(ENGINES)}"
    )
    engine.completes = "engines"


def _help(terminal: Terminal, words: Sequence[str]) -> int:
    if words:
        if words[0] not in COMMANDS:
            raise UsageError(f"there is no command {words[0]!r}", nearest(words[0], COMMANDS))
        terminal.say(_parser(COMMANDS[words[0]]).format_help().rstrip())
        return 0
    terminal.say("usage: ./dev [--engine ENGINE] COMMAND ...")
    width = max(map(len, COMMANDS))
    for group, examples in GROUPS.items():
        terminal.say("")
        terminal.heading(group)
        for one in COMMANDS.values():
            if one.group == group:
                terminal.say(f"  {one.name:<{width}}  {one.summary}")
        for number, example in enumerate(examples):
            lead = "" if number else "e.g."
            terminal.say(terminal.faint(f"  {lead:<{width}}  {example}"))
    terminal.say("\n./dev COMMAND --help says more, with examples")
    return 0


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _must_be_known(kind: str, words: Iterable[str], known: Iterable[str]) -> None:
    for word in words:
        if word not in known:
            raise UsageError(f"there is no {kind} {word!r}", nearest(word, known))


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _positive(text: str) -> int:
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _terminate(number: int, frame: object) -> NoReturn:
    # As Ctrl-C: what was started is ended in order.
    raise KeyboardInterrupt
