"""What an upgrade of the database asks of an engine: two clusters and a server for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass

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
