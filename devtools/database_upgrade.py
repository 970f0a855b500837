"""Taking the database's data to another major version of PostgreSQL.

The old cluster is kept, and read by a server of its version. Its dump fills a new cluster, and
each table of both is compared. After an interruption, the same command begins again from the
cluster that is complete.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from .clusters import Clusters, Found
from .errors import DevError
from .terminal import Terminal


def upgrade(clusters: Clusters, terminal: Terminal) -> dict[str, Any] | None:
    """Take the data along; return what was compared, None if there is nothing to do.

    Raises:
        DevError: on failure; the old cluster is complete then, in its place or kept.
    """
    found = clusters.look()
    if not found.other and not found.incomplete:
        return None
    version = found.other or found.kept
    if version > clusters.wanted:
        raise DevError(
            f"{clusters.place} was written by PostgreSQL {version}, which is newer than"
            f" {clusters.wanted}",
            "use a checkout that declares it, or the way back: ./dev upgrade-db --back",
        )
    if found.other:
        with terminal.step(f"keeping the data of PostgreSQL {version}"):
            clusters.keep()
    with clusters.serving(version):
        with terminal.step(f"reading every row of PostgreSQL {version}"):
            before = clusters.sums(of_kept=True)
        with terminal.step(f"filling PostgreSQL {clusters.wanted}"):
            clusters.transfer()
        with terminal.step("comparing every table"):
            differing = sorted(_rows(before) ^ _rows(clusters.sums(of_kept=False)))
    if differing:
        names = ", ".join(dict.fromkeys(f"{schema}.{name}" for schema, name, *_ in differing))
        raise DevError(
            f"the data differs after the upgrade: {names}",
            f"{clusters.kept_place} has all of it; try again, or go back: ./dev upgrade-db --back",
        )
    clusters.complete()
    return {"from": version, "to": clusters.wanted, **_summary(before)}


def go_back(clusters: Clusters) -> int:
    """Make the kept cluster the one in use; return its version. Raises DevError without one."""
    kept = _must_keep(clusters).kept
    clusters.put_back()
    return kept


def forget(clusters: Clusters) -> None:
    """Delete the kept cluster. Raises DevError unless the upgrade is complete."""
    if _must_keep(clusters).incomplete:
        raise DevError(
            f"the upgrade is not complete, and {clusters.kept_place} is the only copy",
            "./dev upgrade-db",
        )
    clusters.forget()


def _must_keep(clusters: Clusters) -> Found:
    found = clusters.look()
    if not found.kept:
        raise DevError(f"nothing is kept: there is no {clusters.kept_place}")
    return found


def _rows(text: str) -> set[tuple[str, ...]]:
    return {tuple(line.split("\t")) for line in text.splitlines()}


def _summary(text: str) -> dict[str, Any]:
    """Tables and rows of each schema."""
    tables: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for schema, _name, number, _sum in _rows(text):
        if schema and number:  # neither a sequence nor a role
            tables[schema] += 1
            rows[schema] += int(number)
    return {"schemas": {name: {"tables": tables[name], "rows": rows[name]} for name in tables}}
