"""Tests, checks, benchmarks and locked requirements."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter, deque
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable

from .. import environment, locking
from ..devcontainer import inside
from ..errors import FAILED, DevError, Problem
from ..process import INTERRUPTED, hand_over
from ..production import licences
from ..terminal import Mark, Terminal, seconds
from . import shapes
from .options import BUILD, flag, one_of, option
from .registry import Run, group

# What begins the line of the plugin development/test_results.py.
_RESULTS = "results of tests: "
# With --json: answers have an end.
_MOST_FAILURES = 20
_LAST_LINES = 40

command = group(
    "Tests and requirements", "./dev test -k health -x", "./dev lint", "./dev verify --quick"
)


@command(
    "test",
    "run the backend's tests; exit status 0 only if all passed",
    "./dev test",
    "./dev test -k health -x     unknown options go to pytest",
    "./dev test -- --help        so does everything after --",
    "./dev test --workspace      needs Python 3.11 or newer on this machine",
    "./dev test --stack          starts separate stacks; yours is not touched",
    "./dev test --stack tests/stack/test_pages.py   of these two suites: only some files",
    options=[
        one_of(
            flag("--workspace", help="the tests of ./dev and of the checkout's files"),
            flag("--stack", help="the tests that start a whole stack"),
            flag("--all", help="all three suites, one after the other"),
            flag(
                "--environment",
                help="only print the environment of the backend's tests, as JSON: "
                "for pytest in an editor",
            ),
        ),
        BUILD,
    ],
    passes_on="pytest",
    answer=shapes.TEST,
)
def test(run: Run) -> int:
    options = run.options
    if options.environment:
        run.terminal = Terminal(out=sys.stderr)  # the answer is JSON, as with --json
        if environment.installed(run.checkout):  # it may be .venv's pytest that asks
            environment.ensure(run.checkout, run.terminal, environment.CHECKS)
        Terminal().say(json.dumps(dict(run.engine.test_environment()), indent=2))
        return 0
    if run.json:
        return _test_results(run)
    suites = {
        "backend": lambda: run.engine.test(_in_backend(run), build=options.build),
        "workspace": lambda: _suite(run, "not stack"),
        "stack": lambda: _suite(run, "stack"),
    }
    chosen = [name for name in suites if options.all or getattr(options, name, False)]
    chosen = chosen or ["backend"]
    if "backend" in chosen:
        run.say_engine()
    statuses = [_test_suite(run.terminal, name, suites[name]) for name in chosen]
    return next(filter(None, statuses), 0)


def _in_backend(run: Run) -> list[str]:
    """The arguments of pytest, which runs in `backend`; paths may be given from elsewhere."""
    backend = run.checkout.root / "backend"

    def place(word: str) -> str:
        path, *test = word.split("::")
        if "/" in path and not (backend / path).exists():
            for start in (Path.cwd(), run.checkout.root):
                found = Path(os.path.normpath(start / path))
                if found.exists() and backend in found.parents:
                    return "::".join([str(found.relative_to(backend)), *test])
        return word

    return [place(word) for word in run.rest]


def _test_results(run: Run) -> int:
    """Print what the plugin development/test_results.py says at the end of each suite."""
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    counts: Counter[str] = Counter()
    failures: list[Any] = []
    took: list[float] = []

    def hear(line: str) -> None:
        if line.startswith(_RESULTS):
            found = json.loads(line[len(_RESULTS) :])
            counts.update(found["counts"])
            failures.extend(found["failures"])
            took.append(found["seconds"])
        else:
            run.terminal.say(line)
            lines.append(line)

    status = run.without_json(hear, "--results", "--tb=short", "-q")
    run.answer(
        {
            "status": status,
            "counts": dict(counts),
            "seconds": round(sum(took), 1),
            "failures": failures[:_MOST_FAILURES],
            "failures_left_out": max(0, len(failures) - _MOST_FAILURES),
            # Without a failure, the reason is in the output.
            "output": "" if failures or not status else "\n".join(lines),
        }
    )
    return status


def _test_suite(terminal: Terminal, name: str, suite: Callable[[], int]) -> int:
    began = time.monotonic()
    status = suite()
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    mark, said = Mark.GOOD, "passed"
    if status:
        mark, said = Mark.BAD, f"failed (exit status {status})"
    terminal.mark(mark, f"{name} tests {said}  {seconds(time.monotonic() - began)}")
    return status


def _suite(run: Run, marked: str) -> int:
    if inside(run.checkout.root):
        raise DevError(
            "tests that start stacks cannot run inside the dev container",
            "on your machine: ./dev test --workspace, ./dev test --stack",
        )
    files = [] if any(word.startswith("tests/") for word in run.rest) else ["tests"]
    return _pytest(run, *files, "--ignore=tests/acceptance", "-m", marked, *run.rest)


def _pytest(run: Run, *arguments: str) -> int:
    python = environment.ensure(run.checkout, run.terminal, environment.TOOLS)
    return hand_over(
        [str(python), "-m", "pytest", *arguments],
        directory=run.checkout.root,
        environment=run.checkout.variables,
    )


@command(
    "lint",
    "run all checks on all files, also on new ones",
    "./dev lint",
    "./dev lint --fix",
    "./dev lint --install   the hooks work on this machine and in the dev container",
    "./dev lint backend/core/views.py   only some files",
    "./dev lint --hook-stage manual ruff-check   arguments go to pre-commit run",
    options=[
        one_of(
            flag("--fix", help="format, apply automatic fixes, then run the checks"),
            flag("--staged", help="check only staged files, as before a commit"),
            flag("--install", help="run these checks before each commit and each push"),
        )
    ],
    passes_on="pre-commit run",
    answer=shapes.LINT,
)
def lint(run: Run) -> int:
    from .. import commits

    options = run.options
    if options.install:
        hooks = commits.install_hooks(run.checkout)
        run.terminal.mark(Mark.GOOD, f"each commit and each push is checked, by {hooks}")
        run.terminal.say(
            "  the first commit installs the tools, in about a minute; now: ./dev lint --staged"
        )
        return 0
    if run.json:
        return _lint_results(run)
    python = environment.ensure(run.checkout, run.terminal, environment.CHECKS)
    if options.fix:
        commits.fix(run.checkout, run.terminal, python)
    return commits.check(run.checkout, python, *run.rest, staged=options.staged)


# A line of pre-commit, as "mypy.......Passed".
_CHECKED = re.compile(r"(.+?)\.{3,}.*(Passed|Failed|Skipped)")


def _lint_results(run: Run) -> int:
    results: list[tuple[str, str, list[str]]] = []  # a check, how it ended, its output

    def hear(line: str) -> None:
        run.terminal.say(line)
        if found := _CHECKED.fullmatch(line):
            results.append((found[1], found[2], []))
        elif results:
            results[-1][2].append(line)

    status = run.without_json(hear)
    failures = [
        {"check": name, "output": _beginning(lines)}
        for name, ended, lines in results
        if ended == "Failed"
    ]
    passed = sum(ended == "Passed" for _, ended, _ in results)
    run.answer({"status": status, "passed": passed, "failures": failures})
    return status


def _beginning(lines: list[str]) -> str:
    left = len(lines) - _LAST_LINES
    more = [f"... and {left} lines: ./dev lint"] if left > 0 else []
    return "\n".join([*lines[:_LAST_LINES], *more]).strip()


@command(
    "verify",
    "check the acceptance criteria against the running stack",
    "./dev verify --quick",
    "./dev verify LDE-1.1 BP",
    "./dev verify --list",
    "./dev verify --markdown docs/acceptance.md",
    "needs Python 3.11 or newer on this machine; exit status 1 when a criterion failed; what a",
    "check changes, it takes back",
    options=[
        option("criteria", nargs="*", metavar="ID", help="LDE-1.1, or a prefix: LDE-1, BP"),
        flag("--quick", help="skip criteria that take a minute or more"),
        flag("--list", help="print ids and statements; check none"),
        option("--markdown", metavar="FILE", help="write a page with the outcomes"),
    ],
    answer=shapes.VERIFY,
)
def verify(run: Run) -> int:
    options = run.options
    chosen = [f"--{name}" for name in ("quick", "list", "json") if getattr(options, name)]
    if options.markdown:
        chosen += ["--markdown", options.markdown]
    if not run.json and not options.list:
        run.say_engine()
    acceptance = ["tests/acceptance", "--capture=no", "--engine", run.engine.name]
    return _pytest(run, *acceptance, *chosen, "--criteria", *options.criteria)


@command(
    "lock",
    "lock requirements/*.in with versions and hashes into requirements/*.txt",
    "./dev lock",
    "./dev lock --upgrade",
    options=[
        flag("--upgrade", help="use the newest allowed versions"),
        flag(
            "--check",
            help="write nothing; exit status 1 if a lock is outdated, or a package has no wheel "
            f"for {', '.join(locking.PLATFORMS.values())}",
        ),
    ],
    answer=shapes.LOCK,
)
def lock(run: Run) -> int:
    python = environment.ensure_uv(run.checkout, run.terminal)
    if run.options.check:
        if outdated := locking.write(run.checkout, python, run.terminal, dry_run=True):
            raise DevError(f"outdated locks: {', '.join(outdated)}", "update them: ./dev lock")
        if compiled := locking.without_wheels(run.checkout, python, run.terminal):
            raise DevError.of(compiled)
        run.answer({"changed": False})
        return 0
    changed = locking.write(run.checkout, python, run.terminal, upgrade=run.options.upgrade)
    run.answer({"changed": bool(changed)})
    if changed:
        run.terminal.say("  to install the locked packages: ./dev up")
    return 0


@command(
    "audit",
    "check the locked packages for known vulnerabilities, and the licences of production",
    "./dev audit",
    "exit status: 1 if there is a known vulnerability, or a package of production has a licence",
    f"that {licences.ALLOWED} does not list; packages that could not be looked up are",
    "reported and count only with --strict, so that an outage fails no build",
    options=[flag("--strict", help="exit status 1 also if packages could not be looked up")],
    answer=shapes.AUDIT,
)
def audit(run: Run) -> int:
    from ..production import audit as auditing

    python = environment.ensure(run.checkout, run.terminal, environment.TOOLS)
    refused = licences.problems(run.checkout, python)
    for problem in refused:
        run.terminal.fail(problem)
    if not refused:
        run.terminal.mark(Mark.GOOD, f"{licences.ALLOWED} allows all that production ships")
    found = auditing.audit(run.checkout, python, environment.LOCK_OF_ALL, environment.EMULATOR)
    run.answer({**asdict(found), "refused_licences": list(map(asdict, refused))})
    for one in found.findings:
        fixed = ", ".join(one.fixed_in) or "no version fixes it yet"
        run.terminal.fail(
            Problem(
                f"{one.package} {one.version}: {one.advisory}", f"{fixed}   ./dev lock --upgrade"
            )
        )
    if found.not_looked_up:
        count = len(found.not_looked_up)
        names = ", ".join(found.not_looked_up[:5]) + (", ..." if count > 5 else "")
        run.terminal.warn(
            Problem(
                f"NOT AUDITED: {count} packages could not be looked up: {names}",
                "check that the advisory service of PyPI is reachable, then: ./dev audit",
            )
        )
    if found.looked_up and not found.findings:
        run.terminal.mark(Mark.GOOD, f"no known vulnerability in {found.looked_up} packages")
    return (
        FAILED if refused or found.findings or (run.options.strict and found.not_looked_up) else 0
    )
