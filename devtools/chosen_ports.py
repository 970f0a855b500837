"""The port of each service on this machine: the user's choice, the choice of ./dev, or the default.

Both engines use the same rules. A choice of ./dev is remembered for each engine separately, because
both stacks of a checkout can run at the same time. A choice of the user is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, NamedTuple

from . import ports
from .checkout import Checkout
from .errors import DevError, Problem
from .terminal import Mark, Terminal

# The choices of each engine, and the ports of the embedded engine's last start, by service.
COMPOSE = "ports"
EMBEDDED = "ports-embedded"
EMBEDDED_NOW = "embedded"
# The holder of a port that the embedded engine uses in the same checkout.
OTHER_STACK = "this checkout's stack without Docker"


class Wanted(NamedTuple):
    """A port that `service` will listen on; without a `variable` it cannot be changed."""

    service: str
    variable: str
    number: int
    host: str = ports.LOOPBACK


def remembered(checkout: Checkout, subject: str) -> dict[str, str]:
    """The ports that ./dev chose for an engine, by variable, unless overridden."""
    return {
        variable: str(port)
        for variable, port in checkout.recall(subject).items()
        if ports.valid(str(port)) and not checkout.chosen(variable)
    }


def remember(checkout: Checkout, subject: str, numbers: Mapping[str, int]) -> None:
    """Use these `numbers` in later commands, by variable."""
    new = {variable: str(number) for variable, number in numbers.items()}
    checkout.remember(subject, {**remembered(checkout, subject), **new})


def replace(
    checkout: Checkout,
    subject: str,
    taken: Sequence[Wanted],
    others: Iterable[int],
    free: Callable[[int, str], bool],
    terminal: Terminal,
    *,
    holder: Callable[[int], str] = ports.holder,
) -> dict[Wanted, int]:
    """Choose a `free` port, not in `others`, for each of `taken`; remember and print it.

    Raises DevError if one must not change, because it was chosen explicitly.
    """
    stuck = [port for port in taken if not can_move(checkout, port)]
    if stuck:
        raise DevError.of(explain(checkout, port, holder(port.number)) for port in stuck)
    found: dict[Wanted, int] = {}
    avoid = {*others, *map(int, remembered(checkout, subject).values())}
    for port in taken:
        number = ports.next_free(port.number, {*avoid, *found.values()}, port.host, free)
        found[port] = number
        why = f"{port.number} is taken by {holder(port.number)}"
        terminal.mark(Mark.WARNING, f"{port.service} gets port {number} ({port.variable}): {why}")
    if found:
        remember(checkout, subject, {port.variable: number for port, number in found.items()})
    return found


def can_move(checkout: Checkout, port: Wanted) -> bool:
    """Whether ./dev may replace `port`: nobody chose it explicitly."""
    return bool(port.variable) and not checkout.chosen(port.variable)


def problems(
    checkout: Checkout, taken: Sequence[Wanted], holder: Callable[[int], str] = ports.holder
) -> tuple[list[Problem], bool]:
    """What uses the ports `taken`, and whether `up` can replace all of them."""
    found = [explain(checkout, port, holder(port.number)) for port in taken]
    return found, all(can_move(checkout, port) for port in taken)


def explain(checkout: Checkout, port: Wanted, holder: str) -> Problem:
    """What uses `port`, and how to change it."""
    named = f"{port.service} ({port.variable})" if port.variable else port.service
    what = f"port {port.number} for {named} is taken by {holder}"
    if not port.variable:
        return Problem(what)
    other = f"{port.variable}={ports.next_free(port.number)}"
    if checkout.chosen(port.variable):
        where = checkout.where_chosen(port.variable)
        way = f"or remove it from {where}: ./dev up then finds a free one"
    else:
        way = "or choose a free port automatically: ./dev up"
    if holder == OTHER_STACK:
        way = f"{way}\nor stop that stack: ./dev --engine embedded down"
    return Problem(what, f"choose another port: {other} ./dev up   (or put {other} in .env)\n{way}")
