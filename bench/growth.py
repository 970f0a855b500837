"""Growth: the stack at 2, 10, 100 and 500 tenants. With --tenants 2000 also at so many."""

from __future__ import annotations

from devtools.checkout import Checkout
from devtools.terminal import Terminal

from .grown import Buyer, grown
from .measure import Measure

VARIABLE = "BENCH_TENANTS"  # the largest number: ./dev bench growth --tenants
TENANTS = (2, 10, 100, 500, 2000)
USUAL = 500
ROWS = 40  # products and orders of each tenant
REQUESTS = 200  # of each kind, and each tenant at least once


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Grow a copy of the stack, and measure the same work at each number of tenants."""
    most = int(checkout.variables.get(VARIABLE) or USUAL)
    with grown(checkout, terminal, rounds) as stack:
        there = 2  # of the init script
        for tenants in [number for number in TENANTS if number <= most]:
            size = f"{tenants} tenants"
            with terminal.step(f"making {size}"):
                buyers: list[Buyer] = []
                took = stack.cost(lambda: buyers.extend(stack.fill(tenants, ROWS)))  # noqa: B023
            if tenants > there:
                made = tenants - there
                stack.keep(f"making one tenant, {size}", "s", took.processor / made)
            there = tenants
            stack.measure(size, buyers, max(REQUESTS, tenants))
        return stack.measures()
