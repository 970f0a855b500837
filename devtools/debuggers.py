"""The debuggers of web and worker: their ports and their states."""

from __future__ import annotations

from dataclasses import dataclass

from . import ports
from .checkout import Checkout
from .errors import DevError
from .services import WEB, WORKER

# The variable that sets each port on this machine, and its default.
PORTS = {WEB: ("WEB_DEBUG_PORT", 5678), WORKER: ("WORKER_DEBUG_PORT", 5679)}
# The variable that the process reads; see backend/core/env/contract.py.
PORT_VARIABLE = "DEBUGPY_PORT"
RELOAD_VARIABLE = "RELOAD"


@dataclass(frozen=True)
class Debugger:
    """The debugger of a process: its address, and whether an editor is attached."""

    address: str
    listening: bool
    attached: bool

    @property
    def words(self) -> str:
        """Its state in words."""
        state = "not listening"
        if self.listening:
            state = "an editor is attached" if self.attached else "waits for an editor"
        return f"{self.address}  {state}"


def port(checkout: Checkout, service: str) -> int:
    """The debugger's port of `service` on this machine. Raises DevError if it is invalid."""
    variable, default = PORTS[service]
    return checkout.chosen_port(variable) or default


def taken(service: str, number: int, *, fixed: bool = False) -> DevError:
    """The error that another program uses the debugger's port `number` of `service`.

    `fixed`: no variable can change it.
    """
    variable, _ = PORTS[service]
    return DevError(
        f"port {number} for the debugger of {service} is taken by {ports.holder(number)}",
        "stop that program, then try again"
        if fixed
        else f"stop that program, or choose another port: {variable}=... in .env",
    )


def variables(port: int | None) -> dict[str, str]:
    """The variables that make a process listen for an editor on `port`; None: no debugger."""
    if port is None:
        return {}
    return {PORT_VARIABLE: str(port), RELOAD_VARIABLE: "true"}


def look(number: int, address: str = "", table: str | None = None) -> Debugger:
    """The state of the debugger on port `number`, which others reach at `address`.

    `table` as in `ports.listens`.
    """
    return Debugger(
        address or f"{ports.LOOPBACK}:{number}",
        ports.listens(number, table),
        ports.connected(number, table),
    )
