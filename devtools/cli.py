"""The commands of ./dev, one function each: they parse, call an engine and print."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable, NoReturn

from . import bench, environment, locking
from .checkout import Checkout
from .engines import ENGINES, choose
from .engines.base import Engine
from .errors import FAILED, DevError, Problem, UsageError
from .nearest import nearest
from .process import SIGNAL_BASE, hand_over
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
QUALITY = "Tests and requirements"
GROUPS = (STACK, INSIDE, QUALITY)

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
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these services")


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
    run.terminal.say(f"  until the next ./dev up; to keep it, put SERVER={server} in .env")
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
    parser.add_argument("part", choices=bench.PARTS, help="what shall be measured")
    parser.add_argument(
        "--rounds", type=_positive, default=3, metavar="N", help="how often (%(default)s)"
    )


@command(
    "bench",
    QUALITY,
    "measure how long things take, beside what they should",
    "./dev bench embedded",
    "./dev bench serve --rounds 5   from one web server to the other",
    "./dev bench reload             from a saved edit to the new answer",
    "./dev bench debugger           what a debugger costs while nobody uses it",
    options=_bench_options,
)
def measured(run: Run) -> int:
    measures = bench.PARTS[run.options.part](run.checkout, run.terminal, run.options.rounds)
    for line in bench.report(measures):
        run.terminal.say(line)
    return 0


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


# What they print


def _say_engine(run: Run) -> None:
    engine = run.engine
    run.terminal.say(run.terminal.faint(f"engine: {engine.name} ({engine.reason})"))


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
        raise UsageError(message, f"{self.prog} --help")


def _dispatch(arguments: list[str], terminal: Terminal) -> int:
    if os.name == "nt":
        raise UsageError("./dev runs on Linux and macOS", "on Windows, use it inside WSL 2")
    top = _Parser(prog="./dev", add_help=False, allow_abbrev=False)
    _engine_option(top)
    top.add_argument("-h", "--help", action="store_true")
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


def _parse(chosen: Command, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = _parser(chosen)
    if not chosen.passes_on:
        return parser.parse_args(words), []
    if not chosen.options and words[:1] not in (["-h"], ["--help"]):
        return argparse.Namespace(), words
    cut = words.index("--") if "--" in words else len(words)
    options, rest = parser.parse_known_args(words[:cut])
    return options, rest + words[cut + 1 :]


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
    parser.add_argument(
        "--engine", default="", metavar="ENGINE", help=f"auto or {', '.join(ENGINES)}"
    )


def _help(terminal: Terminal, words: Sequence[str]) -> int:
    if words:
        if words[0] not in COMMANDS:
            raise UsageError(f"there is no command {words[0]!r}", nearest(words[0], COMMANDS))
        terminal.say(_parser(COMMANDS[words[0]]).format_help().rstrip())
        return 0
    terminal.say("usage: ./dev [--engine ENGINE] COMMAND ...")
    width = max(map(len, COMMANDS))
    for group in GROUPS:
        terminal.say("")
        terminal.heading(group)
        for one in COMMANDS.values():
            if one.group == group:
                terminal.say(f"  {one.name:<{width}}  {one.summary}")
    terminal.say("\n./dev COMMAND --help says more, with examples")
    return 0


def _positive(text: str) -> int:
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _terminate(number: int, frame: object) -> NoReturn:
    # As Ctrl-C: what was started is ended in order.
    raise KeyboardInterrupt
