"""The API: a large catalogue beside a small one, and 10 to 100 connections at once."""

from __future__ import annotations

from urllib.parse import urlsplit

from devtools.checkout import Checkout
from devtools.engines.choice import choose
from devtools.engines.embedded import EmbeddedEngine
from devtools.errors import DevError
from devtools.services import WEB
from devtools.terminal import Terminal

from . import inside
from .measure import Measure


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure against the running stack, in two tenants that are made and removed."""
    engine = choose("", checkout, terminal)
    status = engine.status()
    if WEB not in status.addresses:
        raise DevError("web is not running", "start the stack: ./dev up")
    # In Compose the command runs beside web and finds it by its name.
    url = f"http://127.0.0.1:{urlsplit(status.addresses[WEB]).port}"
    where = ("--url", url) if isinstance(engine, EmbeddedEngine) else ()
    return inside.rounds_of(checkout, terminal, rounds, "bench_api", *where)
