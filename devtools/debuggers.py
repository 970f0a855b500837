"""The debuggers of web and worker: where they wait for an editor, and how they stand."""

from __future__ import annotations

from . import ports
from .checkout import Checkout
from .errors import DevError
from .services import WEB, WORKER
from .status import Debugger

# The variable that moves each on this machine, and where it is otherwise.
PORTS = {WEB: ("WEB_DEBUG_PORT", 5678), WORKER: ("WORKER_DEBUG_PORT", 5679)}
# What a process reads; see backend/core/env/contract.py.
PORT_VARIABLE = "DEBUGPY_PORT"
RELOAD_VARIABLE = "RELOAD"


def port(checkout: Checkout, service: str) -> int:
    """The port of the debugger of `service` on this machine. Raises DevError if it is none."""
    variable, default = PORTS[service]
    chosen = checkout.chosen(variable)
    if chosen and not ports.valid(chosen):
        raise DevError(
            f"{variable}={chosen!r} (in {checkout.where_chosen(variable)}) is not a port",
            f"e.g. {variable}={default}",
        )
    return int(chosen or default)


def variables(port: int | None) -> dict[str, str]:
    """What a process is given to wait for an editor on `port`; None: no debugger."""
    if port is None:
        return {}
    return {PORT_VARIABLE: str(port), RELOAD_VARIABLE: "true"}


def look(number: int, address: str = "", table: str | None = None) -> Debugger:
    """How the debugger on port `number` stands, which is known as `address` elsewhere.

    `table` as in `ports.listens`.
    """
    return Debugger(
        address or f"{ports.LOOPBACK}:{number}",
        ports.listens(number, table),
        ports.connected(number, table),
    )
