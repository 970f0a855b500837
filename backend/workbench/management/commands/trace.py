"""The kept traces, in a terminal: `./dev trace`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from workbench import traces
from workbench.charts import duration
from workbench.trace_pages import SLOW
from workbench.waterfall import Row, Waterfall, arrange

WIDTH = 24  # characters of a bar
NAME = 70
LISTED = 20


class NoTrace(LookupError):
    """The trace is not kept, or no longer."""


class Command(BaseCommand):
    help = "Print a kept trace, or list the last ones."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("id", nargs="?", help="of a trace, a request (X-Request-ID) or a task")
        which.add_argument("--last", action="store_true", help="the newest request")
        which.add_argument("--slow", action="store_true", help="list those that took long")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["id"] or options["last"]:
                self._print(_chosen(options["id"]), options["json"])
            else:
                self._list(options["slow"], options["json"])
        except (NoTrace, redis.RedisError) as error:
            gone = isinstance(error, redis.RedisError)
            said = f"Redis, which keeps the traces, does not answer: {error}" if gone else error
            if options["json"]:
                problems = [{"what": str(said), "remedy": ""}]
                self.stdout.write(json.dumps({"problems": problems}, indent=2))
            raise CommandError(said) from error

    def _print(self, trace: traces.Trace, as_json: bool) -> None:
        if as_json:
            found = {"trace": trace.id, "left_out": trace.left_out, "spans": trace.spans}
            self.stdout.write(json.dumps(found, indent=2))
            return
        for line in lines(arrange(trace)):
            self.stdout.write(line)

    def _list(self, slow: bool, as_json: bool) -> None:
        found = [one for one in traces.entries() if not slow or one["ms"] >= SLOW][:LISTED]
        if as_json:
            self.stdout.write(json.dumps(found, indent=2))
            return
        if not found:
            self.stdout.write(f"none took {SLOW} ms or longer" if slow else "no trace is kept yet")
        for one in found:
            what = one.get("name") or f"{one['method']} {one['path']}"
            ended = one.get("status") or one.get("state", "").lower()
            clock = f"{datetime.fromtimestamp(one['at'], UTC):%H:%M:%S}"
            self.stdout.write(
                f"{one['trace']}  {clock}  {duration(one['ms']):>8}  {ended!s:>8}  "
                f"{one['tenant'] or '-'}  {what}"
            )


def _chosen(text: str | None) -> traces.Trace:
    if text:
        found = traces.find(text)
    else:
        requests = (one["trace"] for one in traces.entries() if one["type"] == "requests")
        found = next(requests, None)
    trace = traces.read(found) if found else None
    if trace is None:
        kept = f"of {text} " if text else ""
        raise NoTrace(f"no trace {kept}is kept; those that are: ./dev trace")
    return trace


def lines(waterfall: Waterfall) -> list[str]:
    """Return a trace as text: a line for each span, and below it what was logged in it."""
    trace = waterfall.trace
    tenants = ", ".join(waterfall.tenants)
    found = [
        f"{waterfall.title}   {duration(waterfall.ms)}, {len(trace.spans)} spans, "
        f"{waterfall.queries} queries, tenant {tenants}",
        f"trace {trace.id}",
    ]
    for one in waterfall.repeated:
        found.append(f"! one query {one.times} times, {duration(one.ms)} in all: {one.sql[:200]}")
    for row in waterfall.rows:
        found += _row(row)
    if waterfall.hidden:
        found.append(f"and {waterfall.hidden} more spans: add --json")
    if trace.left_out:
        found.append(f"! {trace.left_out} spans were left out: the trace is too large")
    return found


def _row(row: Row) -> list[str]:
    left = min(int(row.left * WIDTH / 100), WIDTH - 1)
    bar = " " * left + "▬" * max(1, round(row.width * WIDTH / 100))
    odd = "! " if row.repeated or row.slow or row.span["failed"] else ""
    name = f"{'  ' * row.depth}{odd}{row.kind:<7} {row.name}"
    found = [f"{name[:NAME]:<{NAME}} {bar[:WIDTH]:<{WIDTH}} {duration(row.span['ms']):>8}"]
    indent = "  " * row.depth + "        "
    if row.arguments:
        called = f"{row.arguments['args']} {row.arguments['kwargs']}"
        found.append(f"{indent}called with {called}" + (f" → {row.result}" if row.result else ""))
    found += [f"{indent}{one['level']}: {one['text']}" for one in row.lines]
    for one in row.exceptions:
        found += [indent + line for line in one.get("traceback", one["type"]).splitlines()]
    return found
