"""`./dev bench`. Every start of ./dev imports this file, so a function imports what it needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from devtools.checkout import Checkout
from devtools.commands.options import flag, option, positive
from devtools.commands.registry import Run, group
from devtools.errors import FAILED, DevError, Problem
from devtools.nearest import must_be_known
from devtools.terminal import Mark, table

command = group("Benchmarks", "./dev bench --list", room="proof")


def _names() -> Iterable[str]:
    from .parts import PARTS

    return PARTS


@command(
    "bench",
    "run benchmarks and compare them with their goals",
    "./dev bench --list",
    "./dev bench api snapshot --rounds 5   of the running stack",
    "./dev bench --json all.json           all parts: takes long",
    "./dev bench --from all.json --write-docs",
    "exit status: 1 if a part cannot be measured; a missed goal is not an error",
    options=[
        option(
            "parts",
            nargs="*",
            metavar="PART",
            help="only these; default: all",
            completes=_names,
        ),
        flag("--list", help="list the parts and measure nothing"),
        option(
            "--rounds", type=positive, default=3, metavar="N", help="number of rounds (%(default)s)"
        ),
        option(
            "--tenants",
            type=positive,
            metavar="N",
            help="let growth go on to N tenants, at most 2000",
        ),
        option("--json", metavar="FILE", type=Path, help="write the figures to FILE"),
        option(
            "--from",
            dest="kept",
            metavar="FILE",
            type=Path,
            help="print the figures in FILE; measure nothing",
        ),
        flag("--write-docs", help="write the figures into docs/performance.md"),
    ],
)
def bench(run: Run) -> int:
    from . import run as performance
    from .measure import Measure
    from .parts import PARTS, about, report

    options = run.options
    must_be_known("part", options.parts, PARTS)
    if options.list:
        for line in table([(name, about(name)) for name in PARTS]):
            run.terminal.say(line)
        return 0
    if options.kept:
        found, status = performance.kept(options.kept, options.parts), 0
    else:
        found, status = _measure(run)
    for name, one in found.items():
        run.terminal.say("")
        run.terminal.heading(f"{name}: {one['about']}")
        for line in report([Measure.of_json(facts) for facts in one["measures"]]):
            run.terminal.say(f"  {line}")
    if options.json:
        performance.write(options.json, found)
    if options.write_docs:
        performance.write_docs(run.checkout, found)
        run.terminal.mark(Mark.GOOD, f"wrote {performance.PAGE}")
    return status


def _measure(run: Run) -> tuple[dict[str, Any], int]:
    """Measure the requested parts; report the ones that fail, and continue."""
    from devtools.engines.choice import VARIABLE as DEV_ENGINE

    from . import run as performance
    from .growth import VARIABLE as TENANTS
    from .parts import PARTS

    asked = {DEV_ENGINE: run.asked_engine} if run.asked_engine else {}
    if run.options.tenants:
        asked[TENANTS] = str(run.options.tenants)
    checkout = Checkout(run.checkout.root, {**run.checkout.variables, **asked})
    found, status = {}, 0
    for name in run.options.parts or PARTS:
        try:
            found[name] = performance.part(checkout, run.terminal, name, run.options.rounds)
        except DevError as error:
            status = FAILED
            for problem in error.problems:
                run.terminal.fail(Problem(f"{name}: {problem.what}", problem.remedy))
    return found, status
