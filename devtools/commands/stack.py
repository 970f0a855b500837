"""Starting, inspecting and stopping the stack."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import texts
from ..environment import not_installed
from ..errors import FAILED, DevError
from ..readiness import INTERVAL
from ..services import WEB, WORKER
from ..terminal import Mark, OnlyLines, Terminal, seconds, table
from . import shapes
from .options import BUILD, DEBUG, SERVICES, TIMEOUT, YES, flag, option, positive, trace_id
from .registry import Run, group

if TYPE_CHECKING:
    from ..status import StackStatus

# Of each service, with --json: answers have an end.
_LINES = 200
# Compose appends the number of the container.
_REPLICA = re.compile(r"-\d+$")

# Seconds until health must be ok after all services are up.
HEALTH_TIMEOUT = 90
_TENANTS = 10  # whose addresses are printed

command = group("The stack", "./dev up", "./dev serve runserver", "./dev logs -f web worker")


@command(
    "up",
    "start all services, wait until they are healthy and health is ok, print the addresses",
    "./dev up",
    "./dev up --debug            with debuggers in web and worker, for an editor on this machine",
    "SERVER=runserver ./dev up   with reload from the start",
    "exit status: 0 if health is ok, 1 if something is degraded; the output names the remedy",
    options=[
        flag("-d", "--detach", help="accepted for Compose: the services always keep running"),
        BUILD,
        DEBUG,
        TIMEOUT,
    ],
    answer=shapes.STATUS,
)
def up(run: Run) -> int:
    run.say_engine()
    began = time.monotonic()
    options = run.options
    given = {"build": options.build, "debug": options.debug, "timeout": options.timeout}
    changed = run.engine.started(lambda: run.engine.up(**given))
    try:
        status = _settled(run)
    except DevError:
        _print_addresses(run.terminal, run.engine.status())
        raise
    took = seconds(time.monotonic() - began)
    done = f"up in {took}" if changed else f"already up, nothing changed  {took}"
    if run.json:
        run.answer(_as_json(run, status))
    run.terminal.mark(Mark.GOOD, done + _served_by(status))
    _print_addresses(run.terminal, status)
    if unmigrated := run.engine.unmigrated():
        run.terminal.warn(unmigrated)
    return 0


def _settled(run: Run) -> StackStatus:
    """Wait until health is ok, because a worker may still be loading; return the status.

    Processes that ran on while the release applied a newer migration are restarted.

    Raises DevError with all problems if it is not ok after HEALTH_TIMEOUT, or if waiting is
    useless.
    """
    status = run.engine.status()
    if status.health and status.health.outdated:
        run.terminal.mark(Mark.WARNING, f"{WEB} and {WORKER} are older than the migrations")
        run.engine.restart((WEB, WORKER), timeout=run.options.timeout)
        status = run.engine.status()
    if not status.problems:
        return status
    deadline = time.monotonic() + min(HEALTH_TIMEOUT, run.options.timeout)
    with run.terminal.step(f"waiting for health ({status.problems[0].what})"):
        while (status := run.engine.status()).problems:
            lasting = status.health is not None and status.health.lasting
            if lasting or time.monotonic() > deadline:
                raise DevError.of(status.problems)
            time.sleep(INTERVAL)
    return status


@command(
    "down",
    "stop and remove the services; the data stays",
    "./dev down",
    "./dev down --volumes   deletes the data too",
    options=[flag("-v", "--volumes", help="delete the data too: asks first"), YES],
    answer=shapes.DOWN,
)
def down(run: Run) -> int:
    data = run.engine.data()
    if run.options.volumes and data and not run.confirmed(data):
        return FAILED
    run.engine.down(volumes=run.options.volumes)
    run.answer({"kept": [] if run.options.volumes else data})
    if data and not run.options.volumes:
        run.terminal.say(f"  the data is kept: {', '.join(data)}")
        run.terminal.say("  ./dev up uses it again; ./dev down --volumes deletes it")
    return 0


@command(
    "status",
    "show each service, the current server and the health check",
    "./dev status",
    "./dev status --json",
    "exit status: 1 if a service should run and does not, or is unhealthy, else 0",
    answer=shapes.STATUS,
)
def status(run: Run) -> int:
    found = run.engine.status()
    if run.json:
        run.answer(_as_json(run, found))
    else:
        run.say_engine()
        _print_status(run.terminal, found)
        if missing := [] if found.down else run.engine.missing_packages():
            problem = not_installed(run.engine.lock, missing)
            run.terminal.say("")
            run.terminal.mark(Mark.WARNING, f"{problem.what}; {problem.remedy}")
    return FAILED if found.failing and not found.down else 0


@command(
    "logs",
    "print the logs of all services, or of the given ones",
    "./dev logs -f web worker",
    "./dev logs --tail 50 migrate",
    "./dev logs --trace ID   of web and worker, what one request did",
    options=[
        flag("-f", "--follow", help="follow the logs"),
        option("--tail", type=positive, metavar="N", help="only the last N lines of each"),
        option(
            "--trace",
            type=trace_id,
            metavar="ID",
            help="only the lines of a trace, or an X-Request-ID",
        ),
        SERVICES,
    ],
    answer=shapes.LOGS,
)
def logs(run: Run) -> int:
    options = run.options
    if run.json:
        run.terminal = _LogObjects()
        whole = options.follow or options.trace
        options.tail = options.tail or (None if whole else _LINES)
    if options.trace:
        run.terminal = OnlyLines(run.terminal, options.trace)
    return run.engine.logs(options.services, follow=options.follow, tail=options.tail)


class _LogObjects(Terminal):
    """Prints each line of a log as an object: `entry` if the line is one itself, else `text`."""

    def __init__(self) -> None:
        super().__init__(variables={"TERM": "dumb", "NO_COLOR": "1"})

    def say(self, text: str = "") -> None:
        service, _, line = text.partition("|")
        found: dict[str, object] = {"service": _REPLICA.sub("", service.strip())}
        if entry := texts.json_object(line):
            found["entry"] = entry
        else:
            found["text"] = line[1:]
        super().say(json.dumps(found))


@command(
    "restart",
    "restart all services, or the given ones, and wait until they are healthy",
    "./dev restart worker",
    options=[SERVICES, TIMEOUT],
    answer=shapes.SECONDS,
)
def restart(run: Run) -> int:
    began = time.monotonic()
    with _naming_missing_packages(run):
        run.engine.restart(run.options.services, timeout=run.options.timeout)
    run.answer_seconds(began, "restarted in")
    return 0


@command(
    "serve",
    "replace the web server; database, Redis and worker are not touched",
    "./dev serve runserver   reloads on edits",
    "./dev serve gunicorn    as in production",
    "./dev serve asgi        for async views and streams",
    "./dev serve gunicorn --debug   under a debugger; attach an editor, edits reload",
    options=[
        option("server", choices=["runserver", "gunicorn", "asgi"], help="the server to use"),
        DEBUG,
        TIMEOUT,
    ],
    answer=shapes.SERVE,
)
def serve(run: Run) -> int:
    server, debug = run.options.server, run.options.debug
    began = time.monotonic()
    with _naming_missing_packages(run):
        changed = run.engine.serve(server, debug=debug, timeout=run.options.timeout)
    port = run.engine.debug_port if debug else None
    run.answer({"server": server, "changed": changed, "debug_port": port})
    if not changed:
        run.terminal.mark(Mark.GOOD, f"{server} is already running")
        return 0
    run.terminal.mark(Mark.GOOD, f"{server} serves after {seconds(time.monotonic() - began)}")
    if debug:
        run.terminal.say(f"  attach an editor to localhost:{port}; edits reload the code")
    until = run.engine.serves_until
    run.terminal.say(f"  until {until}; to keep it, put SERVER={server} in .env")
    return 0


@command(
    "clean",
    "delete the containers, the data, the image and remembered ports: asks first",
    "./dev clean",
    "./dev clean --yes   in a script",
    options=[YES],
    answer=shapes.CLEAN,
)
def clean(run: Run) -> int:
    remains = run.engine.remains()
    if remains and not run.confirmed(remains):
        return FAILED
    run.engine.clean()
    run.answer({"deleted": remains})
    return 0


def _as_json(run: Run, found: StackStatus) -> dict[str, object]:
    missing = [] if found.down else run.engine.missing_packages()
    return {**found.as_json(), "missing_packages": missing}


@contextlib.contextmanager
def _naming_missing_packages(run: Run) -> Iterator[None]:
    """Add missing packages to an error, because they may be its cause."""
    try:
        yield
    except DevError as error:
        missing = []
        with contextlib.suppress(DevError):  # the original error is more important
            missing = run.engine.missing_packages()
        if not missing:
            raise
        raise DevError.of([*error.problems, not_installed(run.engine.lock, missing)]) from error


def _print_status(terminal: Terminal, found: StackStatus) -> None:
    rows = [["SERVICE", "STATE", "UP FOR", "ADDRESS"]]
    for service in found.services:
        up_for = seconds(service.uptime_seconds) if service.uptime_seconds is not None else ""
        rows.append([service.name, service.words, up_for, service.address or ""])
    head, *lines = table(rows)
    terminal.say("  " + terminal.paint(head, "1"))
    for line, service in zip(lines, found.services):
        mark = Mark.GOOD if service.healthy else Mark.WAITING if found.down else Mark.BAD
        terminal.mark(mark, line)
    if found.down:
        terminal.say("  start it: ./dev up")
        return
    if found.health:
        terminal.say("")
        terminal.heading(f"health{_served_by(found)}")
        for name, entry in found.health.checks.items():
            healthy = name not in found.health.failing
            answer = f"{entry.get('latency_ms', '?')} ms" if healthy else found.health.failing[name]
            terminal.mark(Mark.GOOD if healthy else Mark.BAD, f"{name:<10}  {answer}")
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
    tenants = [(f"tenant {name}", address) for name, address in found.tenants.items()]
    addresses = [*found.addresses.items(), *tenants[:_TENANTS]]
    if addresses:
        terminal.say("")
    for line in table(addresses) if addresses else ():
        terminal.say(f"  {line}")
    if (more := len(tenants) - _TENANTS) > 0:
        terminal.say(f"  and {more} tenants more: ./dev manage list_tenants")


def _served_by(found: StackStatus) -> str:
    if not found.health:
        return ""
    reload = " with reload" if found.reload else ""
    return f", served by {found.health.server}{reload}"
