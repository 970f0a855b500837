"""What is measured inside the application, by its own management commands."""

from __future__ import annotations

import json
import sys
from typing import Any

from devtools.checkout import Checkout
from devtools.terminal import Terminal

from .measure import Measure


def rounds_of(
    checkout: Checkout, terminal: Terminal, rounds: int, *command: str, timeout: float = 1800
) -> list[Measure]:
    """Run a manage.py command with --json `rounds` times; its figures with all their values.

    Raises DevError if it fails.
    """
    found: dict[str, Measure] = {}
    for number in range(1, rounds + 1):
        with terminal.step(f"{command[0]}, round {number}"):
            for measure in map(Measure.of_json, _once(checkout, command, timeout)):
                earlier = found[measure.name].values if measure.name in found else []
                found[measure.name] = Measure(
                    measure.name,
                    measure.unit,
                    measure.budget,
                    [*earlier, *measure.values],
                    measure.at_least,
                )
    return list(found.values())


def _once(checkout: Checkout, command: tuple[str, ...], timeout: float) -> list[dict[str, Any]]:
    dev = str(checkout.root / "dev")
    done = checkout.run([sys.executable, dev, "manage", *command, "--json"], timeout=timeout)
    done.must(f"manage.py {command[0]} failed", "./dev status")
    # What was started for it is said before.
    return json.loads(done.output[done.output.index("\n[") if "\n[" in done.output else 0 :])
