"""Load by `wrk`, from this machine to this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.process import capture

_LUA = Path(__file__).with_name("wrk.lua")


def demand(checkout: Checkout) -> None:
    """Raise DevError where there is no wrk."""
    if not shutil.which("wrk", path=checkout.variables.get("PATH")):
        raise DevError("wrk, which makes the load, is not installed", "sudo apt-get install wrk")


def load(
    checkout: Checkout, url: str, headers: dict[str, str], connections: int, length: float
) -> dict[str, float]:
    """What wrk.lua says of a load of `length` seconds. Raises DevError if wrk fails."""
    named = [f"--header={name}: {value}" for name, value in headers.items()]
    done = capture(
        [
            *("wrk", "--threads", "2", "--connections", str(connections)),
            *("--duration", f"{length:.0f}s", "--timeout", "30s", "--latency"),
            *("--script", str(_LUA), *named, url),
        ],
        directory=checkout.root,
        environment=checkout.variables,
        timeout=length + 60,
    )
    if not done.ok:
        raise DevError(f"wrk failed: {done.last_words}")
    return json.loads(done.output.splitlines()[-1])
