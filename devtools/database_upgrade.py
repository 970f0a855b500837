"""Taking the database's data to another major version of PostgreSQL.

The old cluster is kept, and read by a server of its version. Its dump fills a new cluster, and
each table of both is compared. After an interruption, the same command begins again from the
cluster that is complete. Each engine has the clusters and their servers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from .errors import DevError
from .terminal import Terminal

# Beside a new cluster while it is not complete. No server of the stack starts then.
INCOMPLETE = "upgrade-incomplete"
DONE_WITHIN = 24 * 3600  # seconds: a dump, or comparing every row

# A line for each table, sequence and role: schema, name, rows, and a sum that the order of the rows
# does not change. The same in every version, unlike PostgreSQL's own hash functions.
SUMS = r"""
SELECT format(
    'SELECT %L, %L, count(*), sum((''x'' || left(md5(t::text), 16))::bit(64)::bigint) FROM %s t',
    nspname, relname, pg_class.oid::regclass)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
\gexec
SELECT schemaname, sequencename, NULL, last_value FROM pg_sequences;
SELECT '', roleid::regrole, count(*),
    sum(('x' || left(md5(member::regrole::text), 16))::bit(64)::bigint)
FROM pg_auth_members WHERE NOT starts_with(roleid::regrole::text, 'pg_') GROUP BY roleid;
"""


@dataclass(frozen=True)
class Found:
    """What there is: major versions, 0 for none.

    `other` is of a cluster in use that the declared version cannot read, `kept` of the one that
    an upgrade keeps, `incomplete` whether the cluster in use is being made from that.
    """

    other: int
    kept: int
    incomplete: bool


class Clusters(ABC):
    """The cluster in use, and the one that an upgrade keeps. All methods raise DevError."""

    # Where each is, for messages.
    place: str
    kept_place: str
    # The declared major version.
    wanted: int

    @abstractmethod
    def look(self) -> Found:
        """What there is. Raises DevError if a server uses it."""

    @abstractmethod
    def keep(self) -> None:
        """Put the cluster in use aside; an incomplete copy is replaced."""

    @abstractmethod
    def put_back(self) -> None:
        """Make the kept cluster the one in use. Nothing is kept then."""

    @abstractmethod
    def forget(self) -> None:
        """Delete the kept cluster."""

    @abstractmethod
    def serving(self, kept: int) -> AbstractContextManager[None]:
        """Make a new cluster in place of what is there, and run both servers during the block.

        `kept` is the major version of the kept one.
        """

    @abstractmethod
    def sums(self, *, of_kept: bool) -> str:
        """The output of SUMS, lines of columns separated by tabs."""

    @abstractmethod
    def transfer(self) -> None:
        """Fill the new cluster with the dump of the kept one."""

    @abstractmethod
    def complete(self) -> None:
        """Record, after `serving`, that the new cluster is complete."""


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
