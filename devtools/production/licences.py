"""The licences of the packages that production ships, compared with those that are allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import pins
from ..checkout import Checkout
from ..errors import Problem

# What production ships.
LOCK = "requirements/production.txt"
# One licence in each line, as packages state it; `PACKAGE: LICENCE` for one that states none.
ALLOWED = "requirements/licences"


def problems(checkout: Checkout, python: Path) -> list[Problem]:
    """What ships under a licence that ALLOWED does not list. Raises DevError as `stated`."""
    found = {name: list(map(_words, listed)) for name, listed in stated(checkout, python).items()}
    shipped = {pins.normal(name) for name in pins.packages(checkout.read(LOCK))}
    # The lock also has packages of other platforms, which are not installed here.
    return list(_compare({n: found[n] for n in found if n in shipped}, checkout.read(ALLOWED)))


def stated(checkout: Checkout, python: Path) -> dict[str, list[dict[str, Any]]]:
    """The licences that each package installed for `python` states, by its normalised name.

    As in CycloneDX: https://cyclonedx.org/docs/1.6/json/#components_items_licenses
    Raises DevError if they cannot be listed.
    """
    done = checkout.run(
        [str(python), "-m", "cyclonedx_py", "environment", str(python), "--output-format", "JSON"],
        timeout=120,
    ).must("the licences cannot be listed")
    components = json.loads(done.output)["components"]
    return {pins.normal(one["name"]): one.get("licenses", []) for one in components}


def _words(listed: Mapping[str, Any]) -> str:
    """An SPDX expression, else the words of the package."""
    return listed.get("expression") or listed["license"].get("id") or listed["license"]["name"]


def _compare(found: Mapping[str, Sequence[str]], allowed: str) -> Iterator[Problem]:
    lines = {line.partition("#")[0].strip() for line in allowed.splitlines()}
    entries = (re.match(r"([\w.-]+): (.+)", line) for line in lines)
    known = {entry[1]: [entry[2]] for entry in entries if entry}
    for name, licences in sorted(found.items()):
        stated_or_known = licences or known.get(name, [])
        if not stated_or_known:
            yield Problem(
                f"{name} states no licence",
                f"look it up, then write a line into {ALLOWED}: {name}: LICENCE",
            )
        for one in stated_or_known:
            if not _is_allowed(one, lines):
                yield Problem(
                    f"{name} has the licence {one!r}, which {ALLOWED} does not allow",
                    "use another package, or add the licence there after someone has agreed to it",
                )


def _is_allowed(licence: str, allowed: set[str]) -> bool:
    """Whether `licence` is allowed, or what an SPDX expression lets us choose."""
    choices = [choice.split(" AND ") for choice in licence.split(" OR ")]
    return licence in allowed or any(allowed.issuperset(choice) for choice in choices)
