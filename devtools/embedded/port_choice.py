"""Choosing the port of each service on this machine, which all services share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import chosen_ports, ports
from ..checkout import Checkout
from ..declared.local_stack import Port
from ..errors import DevError, Problem
from ..terminal import Mark, Terminal


def wanted(checkout: Checkout, port: Port) -> int:
    """The chosen, remembered or default number. Raises DevError for an invalid choice."""
    chosen = checkout.chosen(port.variable)
    if chosen and not ports.valid(chosen):
        raise DevError(
            f"{port.variable}={chosen!r} (in {checkout.where_chosen(port.variable)}) "
            "must be a port from 1 to 65535"
        )
    return int(chosen or chosen_ports.remembered(checkout).get(port.variable) or port.default)


def settle(
    checkout: Checkout,
    terminal: Terminal,
    claims: ports.Claims,
    declared: Sequence[Port],
    own: Mapping[str, int],
) -> dict[str, int]:
    """A port for each service: the wanted one if it is free or its `own`, else the next free one.

    `claims` reserves each. New choices are printed and remembered. Raises DevError if an explicitly
    chosen port is taken.
    """
    remembered = chosen_ports.remembered(checkout)
    given: dict[str, int] = {}
    taken = []
    for port in declared:
        number = wanted(checkout, port)
        if own.get(port.service) == number:
            claims.hold(number)  # the service may restart
            given[port.service] = number
        elif number not in given.values() and claims.take(number):
            given[port.service] = number
        elif checkout.chosen(port.variable):
            taken.append(_explain(checkout, port, number))
        else:
            others = {*given.values(), *(wanted(checkout, other) for other in declared)}
            given[port.service] = ports.next_free(number, others, free=claims.take)
            remembered[port.variable] = str(given[port.service])
            terminal.mark(
                Mark.WARNING,
                f"{port.service} gets port {given[port.service]} ({port.variable}): "
                f"{number} is taken by {_holder(number)}",
            )
    if taken:
        raise DevError.of(taken)
    if remembered:
        checkout.remember(chosen_ports.SUBJECT, remembered)
    return given


def keep(checkout: Checkout, declared: Sequence[Port], own: Mapping[str, int]) -> None:
    """Remember the `own` ports of services that would now choose others."""
    lost = {
        port.variable: str(own[port.service])
        for port in declared
        if own.get(port.service, wanted(checkout, port)) != wanted(checkout, port)
        and not checkout.chosen(port.variable)
    }
    if lost:
        checkout.remember(chosen_ports.SUBJECT, {**chosen_ports.remembered(checkout), **lost})


def taken(
    checkout: Checkout, declared: Sequence[Port], own: Mapping[str, int]
) -> tuple[list[Problem], bool]:
    """The users of wanted ports that are not `own`, and whether none was chosen explicitly."""
    busy = [
        port
        for port in declared
        if own.get(port.service) != wanted(checkout, port)
        and not ports.is_free(wanted(checkout, port))
    ]
    found = [_explain(checkout, port, wanted(checkout, port)) for port in busy]
    return found, not any(checkout.chosen(port.variable) for port in busy)


def lost(port: Port, number: int) -> DevError:
    """The error for a port that was free when it was chosen."""
    return DevError(
        f"{port.service}: {_holder(number)} took port {number} ({port.variable}) in the meantime",
        "./dev up   finds another",
    )


def _explain(checkout: Checkout, port: Port, number: int) -> Problem:
    what = f"port {number} for {port.service} ({port.variable}) is taken by {_holder(number)}"
    if not checkout.chosen(port.variable):
        return Problem(what, "./dev up   finds a free one and remembers it")
    where = checkout.where_chosen(port.variable)
    return Problem(
        what,
        f"remove {port.variable} from {where} to use a free one\n"
        f"or choose another: {port.variable}={ports.next_free(number)} ./dev up",
    )


def _holder(number: int) -> str:
    return ports.holder(number) or "another program"
