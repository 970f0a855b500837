"""The tools. Each is a method of Tools: its docstring and its arguments are what an assistant sees.

They call ./dev or a debugger, and hold no logic of the workspace.
"""

from __future__ import annotations

from typing import Any

from ..errors import DevError
from .answers import masked_rows
from .debugging import Debugging
from .expressions import must_only_look
from .front_door import LONG, FrontDoor
from .requests import Requests

# Commands of manage.py that delete and change nothing: with any arguments, or only with these.
MANAGE: dict[str, tuple[str, ...]] = {
    "check": (),
    "findstatic": (),
    "help": (),
    "list_tenants": (),
    "makemigrations": ("--dry-run",),
    "migrate": ("--plan",),
    "showmigrations": (),
    "sqlmigrate": (),
    "version": (),
}
_NOT_PASSED = ("--settings", "--pythonpath")
_READING = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH")


class Tools:
    """The tools of one connection. With `changes`, they may also delete."""

    # They change nothing, so an editor need not ask for each call.
    READ = (
        *("status", "health", "logs", "routes", "sql", "emails", "tasks", "requests", "trace"),
        *("manage", "debug_where", "debug_evaluate"),
    )
    ACT = (
        *("up", "tests", "lint", "request", "debug_attach", "debug_test", "debug_request"),
        *("debug_wait", "debug_go_on", "debug_end"),
    )

    # What `changes` allows more to.
    FREED = ("request", "debug_request", "debug_evaluate")

    def __init__(self, dev: FrontDoor, *, changes: bool) -> None:
        self._dev = dev
        self.changes = changes
        self._requests = Requests(dev)
        self.debugging = Debugging(dev)
        self._failed: list[str] = []

    # The stack

    def status(self) -> Any:
        """Every service, its state and address; health; the addresses of the tenants. Start here.

        If `state` is down: `up`. If it is failing: `health`, then `logs` of the service.
        """
        return _told(self._dev.answer("status"))

    def up(self) -> Any:
        """Start all services and wait until they are healthy; the first start takes minutes.

        Changes of models, requirements, Compose files and .env need it. Data is kept.
        """
        return _told(self._dev.answer("up", timeout=LONG))

    def health(self) -> Any:
        """What is wrong with the machine, the checkout and the stack, each with its remedy.

        `checks` of the running stack are in `status`; this also compares files and settings.
        """
        found = self._dev.answer("doctor", timeout=300)
        wrong = [one for one in found["checks"] if one["state"] not in ("ok", "not applicable")]
        return {"state": found["state"], "wrong": wrong, "checked": len(found["checks"])}

    def logs(self, service: str, lines: int = 40, contains: str = "") -> Any:
        """The last lines of a service's log: web, worker, migrate, db, redis, ...

        web and worker log objects with `event`, `tenant`, `request_id`, and `exception` with the
        traceback. `contains` filters the last 1000 lines, e.g. by "error" or a request id.
        """
        tail = 1000 if contains else lines
        found = self._dev.objects("logs", service, "--tail", str(tail))
        entries = [one.get("entry") or one.get("text", "") for one in found]
        kept = [one for one in entries if contains.lower() in str(one).lower()]
        return {"lines": kept[-lines:], "matching": len(kept)}

    # Checks

    def tests(
        self,
        which: list[str] | None = None,
        *,
        failed: bool = False,
        keyword: str = "",
        suite: str = "backend",
    ) -> Any:
        """Run tests. Each failure has its test, and file and line of the error.

        which: files, folders or test ids below backend/, e.g. ["users", "users/tests.py::test_a"];
            none runs all, which takes minutes.
        failed: only those that failed in the last call.
        keyword: as pytest's -k.
        suite: "backend", or "workspace" for the tests of ./dev.
        """
        chosen = list(self._failed if failed else which or [])
        if failed and not chosen:
            return {"note": "no test failed in the last call"}
        if any(word.startswith("-") for word in chosen):
            raise DevError("`which` takes files and test ids, not options", "use `keyword`")
        words = ["test", *(["--workspace"] if suite == "workspace" else []), *chosen]
        words += ["-k", keyword] if keyword else []
        found = self._dev.answer(*words, timeout=LONG)
        self._failed = [one["test"] for one in found["failures"]]
        return found

    def lint(self) -> Any:
        """Run all checks: formatting, types, import rules, generated files. Takes about a minute.

        `./dev lint --fix` in a terminal applies the automatic fixes.
        """
        return self._dev.answer("lint", timeout=LONG)

    # Inside

    def routes(self, word: str = "") -> Any:
        """The addresses of the application, with the view's file and line; filtered by a word."""
        return self._dev.management("routes", word)

    def sql(self, tenant: str, query: str, rows: int = 20) -> Any:
        """Read the database as a tenant: one SELECT, VALUES or WITH, in its schema.

        PostgreSQL refuses what writes, and cancels it after 5 s. `more` says whether there are
        further rows: narrow the query, or raise `rows`. Tables:
        SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()
        """
        found = self._dev.management("query", query, "--rows", str(rows), "--tenant", tenant)
        return {**found, "rows": masked_rows(found["columns"], found["rows"])}

    def emails(self, last: int = 10, key: str = "") -> Any:
        """The last e-mails that the application sent, kept here instead of sent; one by its key."""
        return self._dev.management("emails", "--last", str(last), "--key", key)

    def tasks(self, of: str = "") -> Any:
        """Schedules, and background tasks that run, wait, are tried again or failed.

        Each with its id, tenant and arguments, a failed one also with its error; those that ended
        well are among `requests`.
        of: the id of a task: also its traceback.
        """
        if of:
            return self._dev.answer("tasks", _an_id(of))
        found = self._dev.answer("tasks")
        tasks = [*found["running"], *found["waiting"]["first"], *found["retried"], *found["failed"]]
        for one in tasks:
            del one["traceback"]
        return found

    def requests(self) -> Any:
        """The last requests, tasks and commands: when, for whom, how long, how they ended.

        `trace` with the id of one shows what it did.
        """
        return self._dev.answer("trace")

    def trace(self, of: str = "", *, slow: bool = False) -> Any:
        """What one request or task did everywhere, as a waterfall with times and tenant.

        Its queries, repeated ones marked, cache calls, tasks, files, e-mails and lines of the log.
        of: the id of a request (X-Request-ID), a task or a trace; the last request without one.
        slow: list what took long instead.
        """
        chosen = "--slow" if slow else "--last"
        return {"trace": self._dev.output("trace", _an_id(of) if of else chosen)}

    def manage(self, command: list[str]) -> Any:
        """Run a command of manage.py that changes nothing.

        check, showmigrations, list_tenants, sqlmigrate, findstatic, version, help,
        migrate --plan, makemigrations --dry-run; most also take --tenant NAME.
        """
        name, *options = command or [""]
        if name not in MANAGE:
            raise DevError(f"{name!r} is not allowed", f"one of: {', '.join(MANAGE)}")
        needed = MANAGE[name]
        if not set(needed) <= set(options):
            raise DevError(f"{name} changes something", f"add {' '.join(needed)}")
        if refused := [one for one in options if one.startswith(_NOT_PASSED)]:
            raise DevError(f"{refused[0]} is not passed on")
        done = self._dev.run("manage", *command, timeout=300)
        return {"status": done.status, "output": done.output, "errors": done.errors[-1000:]}

    def request(self, method: str, path: str, tenant: str = "", body: Any = None) -> Any:
        """Send a request to the running web, on this machine only, with a JSON body.

        After a log-in (POST /api/auth/login/) the same tenant's requests carry its token. Edits of
        the code show after `./dev restart web worker`, unless the server reloads.
        """
        return self._requests.send(self._allowed(method), path, tenant, body)

    # Debugging

    def debug_attach(self, service: str, breakpoints: list[str]) -> Any:
        """Debug web or worker: start their debuggers, attach, set breakpoints as FILE:LINE.

        Then `debug_request` runs into them. `debug_end` detaches. Edits reload the process.
        """
        return self.debugging.attach(service, breakpoints)

    def debug_request(
        self,
        method: str,
        path: str,
        tenant: str = "",
        body: Any = None,
        *,
        seconds: float = 30,
        task: bool = False,
    ) -> Any:
        """Send a request; answers where it is paused, or with the response if it ended.

        task: wait for a breakpoint of the worker also after the response.
        """
        method = self._allowed(method)
        work = lambda: self._requests.send(method, path, tenant, body)  # noqa: E731
        return self.debugging.run(work, seconds, linger=task)

    def debug_test(self, test: str, breakpoints: list[str], seconds: float = 120) -> Any:
        """Run one test of the backend (a path or id below backend/) under the debugger.

        Answers where it is paused, or with its output if it ended.
        """
        if test.startswith("-"):
            raise DevError(f"{test!r} is not a test")
        return self.debugging.start_test(test, breakpoints, seconds)

    def debug_where(self, frame: int = 0) -> Any:
        """Where the paused thread is: its stack, and the locals of a frame of it."""
        return self.debugging.where(frame)

    def debug_evaluate(self, expression: str, frame: int = 0) -> Any:
        """The value of a Python expression in a frame: names, attributes, items, reading calls.

        E.g. `len(items)`, `order.total`, `str(queryset.query)`, `Product.objects.count()`.
        """
        if not self.changes:
            must_only_look(expression)
        return {"value": self.debugging.evaluate(expression, frame)}

    def debug_go_on(
        self, how: str = "continue", seconds: float = 30, breakpoints: list[str] | None = None
    ) -> Any:
        """Let the paused thread go on: continue, over, into or out (of the current line).

        breakpoints: replace the breakpoints first.
        """
        return self.debugging.go_on(how, seconds, breakpoints)

    def debug_wait(self, seconds: float = 30) -> Any:
        """Wait for a breakpoint to be hit, such as by a task or a request of the person."""
        return self.debugging.wait(seconds, linger=True)

    def debug_end(self) -> Any:
        """Detach: paused requests continue, a test that was started ends."""
        self.debugging.end()
        return {"attached": None}

    def _allowed(self, method: str) -> str:
        method = method.upper()
        if method not in _READING and not self.changes:
            raise DevError(
                f"{method} is not allowed: it deletes",
                "the person allows it: ./dev mcp --allow-changes",
            )
        return method


def _an_id(text: str) -> str:
    """The text, which ./dev must not take for an option. Raises DevError."""
    if text.startswith("-"):
        raise DevError(f"{text!r} is no id of a request, a task or a trace")
    return text


def _told(status: dict[str, Any]) -> dict[str, Any]:
    """A status without what is unknown or does not apply."""
    services = [
        {name: value for name, value in one.items() if value is not None}
        for one in status["services"]
    ]
    return {**status, "services": services}
