"""Known vulnerabilities of the locked packages, from the advisory service."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkout import Checkout


@dataclass(frozen=True)
class Finding:
    """A vulnerability: the package and its version, the advisory, the versions that fix it."""

    package: str
    version: str
    advisory: str
    fixed_in: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """How many packages were looked up, the findings, and the packages not looked up."""

    looked_up: int
    findings: list[Finding]
    not_looked_up: list[str]


def audit(checkout: Checkout, python: Path, *locks: str) -> Audit:
    """Look up every package of `locks`, each of which may have another version of one.

    An unreachable service is not an error: pip-audit then reports every package as skipped and
    succeeds. The skipped packages are returned, for the caller to report.
    """
    packages: dict[tuple[str, str], Any] = {}
    failed = []
    for lock in locks:
        done = checkout.run(
            [
                *(str(python), "-m", "pip_audit", "--require-hashes", "--disable-pip"),
                *("--format", "json", "--progress-spinner", "off", "--requirement", lock),
            ],
            timeout=600,
        )
        try:
            for one in json.loads(done.output)["dependencies"]:
                packages[one["name"], one.get("version", "")] = one
        except (ValueError, KeyError):
            failed.append(f"{lock}: {done.last_words}")
    return Audit(
        looked_up=sum("skip_reason" not in one for one in packages.values()),
        findings=[
            Finding(one["name"], one["version"], found["id"], tuple(found["fix_versions"]))
            for one in packages.values()
            for found in one.get("vulns", ())
        ],
        not_looked_up=failed + [one["name"] for one in packages.values() if "skip_reason" in one],
    )
