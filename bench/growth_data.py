"""Growth of the data: 1,000 products and orders of each tenant, 10 and 100 times as many."""

from __future__ import annotations

from devtools.checkout import Checkout
from devtools.terminal import Terminal

from .grown import grown
from .measure import Measure

ROWS = (1_000, 10_000, 100_000)
TENANTS = 2
REQUESTS = 200


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Grow the data in a copy of the stack, and measure the same work at each size."""
    with grown(checkout, terminal, rounds) as stack:
        for rows in ROWS:
            size = f"{rows:,} rows"
            with terminal.step(f"making {size}"):
                buyers = stack.fill(TENANTS, rows)
            stack.measure(size, buyers, REQUESTS)
        return stack.measures()
