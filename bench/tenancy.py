"""Tenancy: what it adds to a request, to a release and to the database, in a database of its own.

Of 2 and 100 tenants. For more: `./dev manage bench_tenancy --tenants 2 100 500`.
"""

from __future__ import annotations

from devtools.checkout import Checkout
from devtools.database import query
from devtools.engines.choice import choose
from devtools.terminal import Terminal

from . import inside
from .measure import Measure


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure in a scratch database of the running stack's PostgreSQL."""
    engine = choose("", checkout, terminal)
    # To look at what a backend holds; no right of the application's.
    query(engine, "GRANT pg_read_all_stats TO app_owner")
    try:
        return inside.rounds_of(
            checkout, terminal, rounds, "bench_tenancy", "--tenants", "2", "100"
        )
    finally:
        query(engine, "REVOKE pg_read_all_stats FROM app_owner")
