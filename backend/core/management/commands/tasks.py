import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError

from core.celery import task_list
from core.celery.task_list import TaskError

ACTIONS: dict[str, Callable[[str], Any]] = {
    "send": task_list.send_again,
    "end": task_list.end,
    "forget": task_list.forget,
}
DONE = {"send": "sent again as", "end": "ended", "forget": "forgotten"}
WIDEST = 100  # characters of arguments and errors in a list


class Command(BaseCommand):
    """What core/celery/task_list.py reads."""

    help = (
        "Show the schedules and the tasks that run, wait, are tried again or have failed; "
        "send a failed one again, end a running one. Times are UTC."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("id", nargs="?", metavar="ID", help="show all of this task")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--send", metavar="ID", help="send this failed task again, or `all`")
        what.add_argument("--end", metavar="ID", help="end this running task, for good")
        what.add_argument("--forget", metavar="ID", help="forget this failed task, or `all`")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--yes", action="store_true", help="do not ask before that")

    def handle(self, *args: Any, **options: Any) -> None:
        logging.disable(logging.WARNING)  # a sent task's line would be among the output
        try:
            self._handle(options)
        except (TaskError, redis.RedisError) as error:
            gone = "the broker does not answer: " if isinstance(error, redis.RedisError) else ""
            if options["json"]:
                problem = {"what": f"{gone}{error}", "remedy": ""}
                self.stdout.write(json.dumps({"problems": [problem]}, indent=2))
            raise CommandError(f"{gone}{error}") from error
        finally:
            logging.disable(logging.NOTSET)

    def _handle(self, options: dict[str, Any]) -> None:
        for name, act in ACTIONS.items():
            if options[name]:
                self._act(name, act, options)
                return
        found = task_list.find(options["id"]) if options["id"] else task_list.read()
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
        elif options["id"]:
            self._show_one(found)
        else:
            self._show(found)

    def _act(self, what: str, act: Callable[[str], Any], options: dict[str, Any]) -> None:
        asked = options[what]
        chosen = task_list.read()["failed"] if asked == "all" else [task_list.find(asked)]
        say = self.stderr if options["json"] else self.stdout
        for one in chosen:
            say.write(f"{one['task']}({one['arguments'][:WIDEST]})  {one['tenant'] or '-'}")
        if chosen and not options["yes"]:
            if options["json"] or not sys.stdin.isatty():
                raise TaskError("cannot ask for confirmation: add --yes")
            if input(f"{what}? [y/N] ").strip().lower() not in ("y", "yes"):
                raise TaskError("nothing was done")
        done = [act(one["id"]) or one["id"] for one in chosen]
        if options["json"]:
            self.stdout.write(json.dumps({"done": done}, indent=2))
        else:
            self.stdout.write(f"{DONE[what]}: {', '.join(done) or 'none, no task has failed'}")

    def _show_one(self, one: dict[str, Any]) -> None:
        for name, value in one.items():
            if value and name != "traceback":
                self.stdout.write(f"{name:<10} {value}")
        self.stdout.write(one["traceback"])

    def _show(self, found: dict[str, Any]) -> None:
        rows = [
            [one["name"], one["times"], one["tenants"], clock(one["last"]), clock(one["next"])]
            for one in found["schedules"]
        ]
        self._table("schedules", ["NAME", "TIMES", "TENANTS", "LAST", "NEXT"], rows)
        waiting = found["waiting"]
        for title, number, tasks in (
            ("running", len(found["running"]), found["running"]),
            ("waiting", waiting["number"], waiting["first"]),
            ("tried again", len(found["retried"]), found["retried"]),
            ("failed", len(found["failed"]), found["failed"]),
        ):
            self._table(f"{title}: {number}", ["ID", "SINCE", "TENANT", "TASK"], map(_row, tasks))
        if not found["workers"]:
            self.stdout.write(self.style.WARNING("no worker is heard from: nothing runs"))

    def _table(self, title: str, head: Sequence[str], rows: Any) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(title))
        rows = list(rows)
        if rows:
            for line in _aligned([head, *rows]):
                self.stdout.write(f"  {line}")


def _row(one: dict[str, Any]) -> list[str]:
    words = f"{one['task']}({one['arguments'][:WIDEST]})"
    if one["attempt"] > 1:
        words += f", attempt {one['attempt']}"
    if one["error"]:
        words += f": {one['error'][:WIDEST]}"
    since = f"until {clock(one['until'])}" if one["until"] else clock(one["since"])
    return [one["id"], since, one["tenant"] or "-", " ".join(words.split())]


def clock(moment: str | None) -> str:
    """Return a time of ISO 8601 as it is read easily."""
    return moment[:19].replace("T", " ") if moment else "-"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
