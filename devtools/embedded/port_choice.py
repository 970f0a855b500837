"""Choosing the port of each service on this machine, which all services share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import chosen_ports, ports
from ..checkout import Checkout
from ..chosen_ports import Wanted
from ..declared.local_stack import Port
from ..errors import PortLost, Problem
from ..terminal import Terminal


def wanted(checkout: Checkout, port: Port) -> int:
    """The chosen, remembered or default number. Raises DevError for an invalid choice."""
    chosen = checkout.chosen_port(port.variable)
    remembered = chosen_ports.remembered(checkout, chosen_ports.EMBEDDED)
    return int(chosen or remembered.get(port.variable) or port.default)


def settle(
    checkout: Checkout,
    terminal: Terminal,
    claims: ports.Claims,
    declared: Sequence[Port],
    own: Mapping[str, int],
) -> dict[str, int]:
    """A port for each service: the wanted one if it is free or its `own`, else the next free one.

    `claims` reserves each. Raises DevError if an explicitly chosen port is taken.
    """
    numbers = {port.service: wanted(checkout, port) for port in declared}
    given: dict[str, int] = {}
    busy = []
    for port in declared:
        number = numbers[port.service]
        if own.get(port.service) == number:
            claims.hold(number)  # the service may restart
        elif number in given.values() or not claims.take(number):
            busy.append(Wanted(port.service, port.variable, number))
            continue
        given[port.service] = number
    moved = chosen_ports.replace(
        checkout,
        chosen_ports.EMBEDDED,
        busy,
        numbers.values(),
        claims.take,
        terminal,
    )
    return {**given, **{port.service: number for port, number in moved.items()}}


def keep(checkout: Checkout, declared: Sequence[Port], own: Mapping[str, int]) -> None:
    """Remember the `own` ports of services that would now choose others."""
    lost = {
        port.variable: own[port.service]
        for port in declared
        if own.get(port.service, wanted(checkout, port)) != wanted(checkout, port)
        and not checkout.chosen(port.variable)
    }
    if lost:
        chosen_ports.remember(checkout, chosen_ports.EMBEDDED, lost)


def taken(
    checkout: Checkout, declared: Sequence[Port], own: Mapping[str, int]
) -> tuple[list[Problem], bool]:
    """The users of wanted ports that are not `own`, and whether `up` can replace all."""
    return chosen_ports.problems(checkout, busy(checkout, declared, own))


def busy(checkout: Checkout, declared: Sequence[Port], own: Mapping[str, int]) -> list[Wanted]:
    """The wanted ports that are in use, and not `own`."""
    found = [Wanted(port.service, port.variable, wanted(checkout, port)) for port in declared]
    return [
        port
        for port in found
        if own.get(port.service) != port.number and not ports.is_free(port.number)
    ]


def lost(port: Port, number: int) -> PortLost:
    """The error for a port that was free when it was chosen."""
    return PortLost(
        f"{port.service}: {ports.holder(number)} took port {number} ({port.variable})"
        " in the meantime",
        "./dev up   finds another",
    )
