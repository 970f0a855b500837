"""The measured budgets: how long it takes and how much it needs, on this machine.

Figures are printed beside their budgets and nothing fails: a machine under load is no fault of
the code. A part is a function that measures and returns one `Measure` for each budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from ..checkout import Checkout
from ..terminal import Terminal, table
from . import debugger, embedded, reload, serve, workspace
from .measure import Measure

# What `./dev bench` can measure, by name: a function of the checkout and the rounds.
PARTS: dict[str, Callable[[Checkout, Terminal, int], Sequence[Measure]]] = {
    "embedded": embedded.measure,
    "serve": serve.measure,
    "reload": reload.measure,
    "debugger": debugger.measure,
    "workspace": workspace.measure,
}


def report(measures: Sequence[Measure]) -> list[str]:
    """The lines of a table with medians, spread and budgets."""
    heading = ["", "MEDIAN", "LEAST", "MOST", "BUDGET"]
    return table([heading, *(measure.row() for measure in measures)])
