"""What `./dev bench` can measure.

Figures are printed beside their goals and nothing fails: a machine under load is no fault of the
code. A part is a function that measures and returns one `Measure` for each figure; what is
compared is measured in the same run. The first line of its module says what it is about.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Callable

from devtools.checkout import Checkout
from devtools.terminal import Terminal, table

from . import (
    ablation,
    api,
    aws,
    compose,
    container,
    debugger,
    embedded,
    growth,
    growth_data,
    production,
    profile,
    reload,
    requests,
    serve,
    snapshot,
    tasks,
    tenancy,
    webs,
    workspace,
    worktrees,
)
from .measure import Measure

Part = Callable[[Checkout, Terminal, int], Sequence[Measure]]

# By name: a function of the checkout, the terminal and the rounds.
PARTS: dict[str, Part] = {
    "embedded": embedded.measure,
    "serve": serve.measure,
    "reload": reload.measure,
    "debugger": debugger.measure,
    "requests": requests.measure,
    "tasks": tasks.measure,
    "ablation": ablation.measure,
    "profile": profile.measure,
    "compose": compose.measure,
    "workspace": workspace.measure,
    "worktrees": worktrees.measure,
    "aws": aws.measure,
    "tenancy": tenancy.measure,
    "api": api.measure,
    "snapshot": snapshot.measure,
    "growth": growth.measure,
    "growth-data": growth_data.measure,
    "webs": webs.measure,
    "production": production.measure,
    "container": container.measure,
}


def about(name: str) -> str:
    """What the part `name` measures, in a line."""
    text = sys.modules[PARTS[name].__module__].__doc__ or ""
    return text.strip().splitlines()[0] if text.strip() else ""


def report(measures: Sequence[Measure]) -> list[str]:
    """The lines of a table with medians, spread, goals and verdicts."""
    heading = ["", "MEDIAN", "SPREAD", "GOAL", ""]
    return table([heading, *(measure.row() for measure in measures)])
