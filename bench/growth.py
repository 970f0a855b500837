"""Growth: the stack at 2, 100 and 500 tenants. With --tenants 2000 also at so many."""

from __future__ import annotations

import contextlib

from devtools.checkout import Checkout
from devtools.terminal import Terminal

from .grown import Grown, grown
from .measure import Measure

VARIABLE = "BENCH_TENANTS"  # the largest number: ./dev bench growth --tenants
TENANTS = (2, 100, 500, 2000)
USUAL = 500
THERE = 2  # of the init script
MADE = 8  # as a user makes them; all others are copies
ROWS = 40  # products and orders of each tenant
REQUESTS = 200  # of each kind


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Grow a copy of the stack, and measure the same work at each number of tenants."""
    most = int(checkout.variables.get(VARIABLE) or USUAL)
    with grown(checkout, terminal, rounds) as stack:
        with contextlib.suppress(KeyboardInterrupt):  # what was found until then is kept
            for tenants in [number for number in TENANTS if number <= most]:
                _at(stack, tenants)
        return stack.measures()


def _at(stack: Grown, tenants: int) -> None:
    size = f"{tenants} tenants"
    with stack.terminal.step(f"making {size}"):
        if tenants > THERE:
            stack.copy_tenants(tenants - MADE)
            stack.make_tenants(tenants, size)
        buyers = stack.fill(tenants, ROWS)
    stack.measure(size, buyers, REQUESTS)
