"""Are the clocks in sync? Tokens, signatures and certificates depend on them."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import DevError
from ..process import capture
from .result import NotApplicable, Result, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings

# AWS rejects requests signed more than five minutes away from its own time.
APART = 60  # seconds
# The author of the last commit may have had a wrong clock.
BEHIND = 24 * 3600  # seconds


def check(here: Surroundings) -> Result:
    """Is the machine's clock plausible and in sync with the containers'?"""
    behind = _last_commit(here) - time.time()
    if behind > BEHIND:
        return wrong(
            f"the clock of this machine is {behind / 3600:.0f} h behind the last commit",
            "set it: sudo timedatectl set-ntp true",
        )
    try:
        apart = abs(_of_docker(here) - time.time())
    except NotApplicable:
        return ok("this machine's clock is plausible")
    if apart > APART:
        return wrong(
            f"the containers' clock differs from this machine's by {apart:.0f} s",
            "restart Docker Desktop, or set the clock of the machine that Docker runs on",
        )
    return ok("this machine's clock and the containers' agree")


def _of_docker(here: Surroundings) -> float:
    """The time of the daemon's machine, which is also the containers' time."""
    found = re.match(r"(\d+-\d+-\d+T\d+:\d+:\d+)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", _said(here))
    if not found:
        raise NotApplicable("the daemon does not report its time")
    zone = found.group(2).replace("Z", "+00:00")
    return datetime.strptime(found.group(1) + zone, "%Y-%m-%dT%H:%M:%S%z").timestamp()


def _said(here: Surroundings) -> str:
    return str(here.docker_info.get("SystemTime", ""))


def _last_commit(here: Surroundings) -> float:
    """The time of the last commit, in seconds since the epoch; 0 if git does not report it."""
    try:
        asked = capture(
            ["git", "log", "-1", "--format=%ct"],
            directory=here.checkout.root,
            environment=here.checkout.variables,
            timeout=10,
        )
    except DevError:
        return 0
    return float(asked.output) if asked.ok and asked.output.strip() else 0
