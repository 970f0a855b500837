"""Known weaknesses of the locked packages, as the advisory service lists them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..checkout import Checkout
from ..process import capture

# The checkout's own environment holds the packages of every other lock, in the same versions.
LOCK = "requirements/embedded.txt"


@dataclass(frozen=True)
class Finding:
    """A weakness: the package and its version, the advisory's name, versions that mend it."""

    package: str
    version: str
    advisory: str
    mended_in: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """How many packages were looked up, what was found, and which could not be looked up."""

    looked_up: int
    findings: list[Finding]
    not_looked_up: list[str]


def audit(checkout: Checkout, python: Path) -> Audit:
    """Look every package of LOCK up.

    A service that cannot be reached is no error: pip-audit then reports every package as
    skipped, and ends well. So what was skipped is returned, for the caller to say.
    """
    done = capture(
        [
            *(str(python), "-m", "pip_audit", "--require-hashes", "--disable-pip"),
            *("--requirement", LOCK, "--format", "json", "--progress-spinner", "off"),
        ],
        directory=checkout.root,
        environment=checkout.variables,
        timeout=600,
    )
    try:
        packages = json.loads(done.output)["dependencies"]
    except (ValueError, KeyError):
        return Audit(0, [], [done.last_words])
    return Audit(
        looked_up=sum("skip_reason" not in one for one in packages),
        findings=[
            Finding(one["name"], one["version"], found["id"], tuple(found["fix_versions"]))
            for one in packages
            for found in one.get("vulns", ())
        ],
        not_looked_up=[one["name"] for one in packages if "skip_reason" in one],
    )
