"""Snapshots: copies of the whole database under a name, which can be restored.

A snapshot is another database in the same cluster, copied by the server, which is several times
faster than a dump (`./dev bench snapshot` compares). It lasts as long as the cluster:
`./dev down --volumes` deletes it. Its details are stored in its comment, as JSON.

Roles belong to the cluster, not to a database. The role of a dropped tenant is kept while a
snapshot contains its objects, because PostgreSQL does not drop roles that own anything.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from . import texts
from .checkout import Checkout
from .database import MAINTENANCE, identifier, literal, query
from .engines.base import Engine
from .errors import DevError, UsageError
from .health import MIGRATIONS
from .nearest import nearest
from .readiness import QUICK
from .repository import git
from .services import WEB

# The name of the snapshot that a restore makes of the old database.
PREVIOUS = "previous"
# The names at the last listing, for the shell's completion.
SUBJECT = "snapshots"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
# Held while schemas are created, migrated or dropped: backend/tenants/locks.py.
RELEASE_LOCK = 0x686F6D65
_PATIENCE = 60  # time limit in seconds for a release in progress
_TRIES = 5
_IN_USE = "is being accessed by other users"
_COPYING = 600  # time limit in seconds for a copy
_DECLARE = "declare it: docs/data.md, copies without personal data"

_FACTS = """
SELECT json_build_object(
    'tenants', (SELECT coalesce(json_agg(schema_name ORDER BY schema_name), '[]')
                FROM tenant_config),
    'migrations', (SELECT coalesce(json_agg(app || '.' || name ORDER BY app, name), '[]')
                   FROM django_migrations))
"""
_SNAPSHOTS = """
SELECT json_build_array(datname, pg_database_size(oid), shobj_description(oid, 'pg_database'))
FROM pg_database
"""
_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database"
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot, as in the answer of --json: keys are only ever added.

    `saved` is in UTC and ISO 8601, `postgres` its major version. `migrations_lacking` and
    `migrations_added`, as `app.name`, are those that only the current database or only the
    snapshot has; None if either is unknown.
    """

    name: str
    bytes: int
    saved: str
    branch: str
    postgres: int
    tenants: Sequence[str]
    masked: bool
    migrations_lacking: Sequence[str] | None
    migrations_added: Sequence[str] | None

    @property
    def migrations(self) -> str:
        """How its migrations compare with the current ones, in words."""
        more, fewer = self.migrations_added, self.migrations_lacking
        if more is None or fewer is None:
            return "unknown"
        words = [f"{len(more)} more"] if more else []
        words += [f"{len(fewer)} fewer"] if fewer else []
        return ", ".join(words) or "as now"


class Snapshots:
    """The snapshots in the cluster of `engine`."""

    def __init__(self, engine: Engine, checkout: Checkout) -> None:
        self.engine = engine
        self.checkout = checkout

    def listed(self) -> list[Snapshot]:
        """All snapshots, the latest first."""
        rows = self._ask(f"{_SNAPSHOTS} WHERE starts_with(datname, {literal(self._database(''))})")
        present = set(self._facts.get("migrations", ()))
        found = [
            self._snapshot(name, size, comment, present)
            for name, size, comment in map(json.loads, rows)
            if not name.startswith(self._database("@"))
        ]
        self.checkout.remember(SUBJECT, {"names": sorted(one.name for one in found)})
        return sorted(found, key=lambda one: one.saved, reverse=True)

    def failing_after(self, patience: float) -> dict[str, str]:
        """What web reports as failing, once only migrations are or `patience` seconds passed."""
        end = time.monotonic() + patience
        while True:
            answer = self.engine.status().health
            failing = (
                answer.failing if answer else {WEB: "it does not answer at its health address"}
            )
            if not failing.keys() - {MIGRATIONS} or time.monotonic() > end:
                return failing
            time.sleep(QUICK)

    def save(self, name: str, *, replace: bool = False, masked: bool = False) -> Snapshot:
        """Save the current database as `name`. Raises DevError if it exists and not `replace`.

        Connections are closed for the copy; new ones wait until it is complete. If `masked`, it
        has no personal data.
        """
        _check(name)
        if name == PREVIOUS:
            raise UsageError(
                f"{PREVIOUS!r} is reserved for the database before a restore", "choose another name"
            )
        there = [one.name for one in self.listed()]
        if name in there and not replace:
            raise DevError(
                f"there is a snapshot {name!r} already",
                f"./dev snapshot save {name} --replace   or choose another name",
            )
        old, _ = self._work_databases
        with self.masked() if masked else self._plain_copy() as new:
            renamed = [self._rename(self._database(name), old)] if name in there else []
            label = self._label(name, masked=masked)
            self._ask(";".join([*renamed, self._rename(new, self._database(name)), *label]))
        return self.get(name)

    def restore(self, name: str) -> Snapshot:
        """Replace the database by the snapshot; the old database becomes PREVIOUS.

        The copy is created under another name and renamed in one transaction, so that a failed
        restore changes nothing. Raises DevError for an unknown name and for a snapshot of another
        major version of PostgreSQL.
        """
        snapshot = self.get(name)
        now = self._version
        if snapshot.postgres != now:
            was = f"PostgreSQL {snapshot.postgres}" if snapshot.postgres else "an unknown version"
            raise DevError(
                f"the snapshot {name!r} was saved by {was} and cannot be restored in {now}",
                f"delete it: ./dev snapshot delete {name}",
            )
        old, new = self._work_databases
        self._copy(self._database(name), new)
        previous = self._database(PREVIOUS)
        there = [one.name for one in self.listed()]
        swap = [
            _end_connections(self._main),
            *([self._rename(previous, old)] if PREVIOUS in there else []),
            self._rename(self._main, previous),
            *self._label(PREVIOUS),
            self._rename(new, self._main),
            f"ALTER DATABASE {identifier(self._main)} ALLOW_CONNECTIONS true",
        ]
        try:
            self._again(lambda: self._ask(self._locked, ";".join(swap)))
        finally:  # delete a copy that was not used
            self._ask(*map(_drop, self._work_databases))
        return snapshot

    def delete(self, name: str) -> None:
        """Delete the snapshot. Raises DevError for an unknown name."""
        self._ask(f"DROP DATABASE {identifier(self._database(self.get(name).name))}")
        self.listed()

    def get(self, name: str) -> Snapshot:
        """The snapshot called `name`. Raises DevError if there is none."""
        found = {one.name: one for one in self.listed()}
        if name not in found:
            remedy = nearest(name, found) if found else "save one: ./dev snapshot save NAME"
            raise DevError(f"there is no snapshot {name!r}", remedy)
        return found[name]

    # Databases of snapshots

    @cached_property
    def _main(self) -> str:
        """The application's database."""
        return query(self.engine, "SELECT current_database()")[0]

    @cached_property
    def _owner(self) -> str:
        return self._ask(f"{_OWNER} WHERE datname = {literal(self._main)}")[0]

    @cached_property
    def _version(self) -> int:
        """The major version of the server."""
        return int(self._ask("SHOW server_version_num")[0]) // 10000

    def _database(self, name: str) -> str:
        """The database of the snapshot `name`."""
        return f"{self._main}@{name}"

    @property
    def _work_databases(self) -> tuple[str, str]:
        """Names for a database to be dropped and a new copy; no snapshot's name begins with @."""
        return self._database("@old"), self._database("@new")

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """The comment's facts of the current database; fewer if it was never released."""
        try:
            return json.loads("".join(query(self.engine, _FACTS)))
        except DevError:
            return {}

    def _label(self, name: str, *, masked: bool = False) -> Sequence[str]:
        """SQL that closes the database of `name` to connections and writes its comment."""
        facts = {
            **self._facts,
            "postgres": self._version,
            "saved": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "branch": _branch(self.checkout),
            "masked": masked,
        }
        database = identifier(self._database(name))
        return (
            f"ALTER DATABASE {database} ALLOW_CONNECTIONS false CONNECTION LIMIT -1",
            f"COMMENT ON DATABASE {database} IS {literal(json.dumps(facts))}",
        )

    def _snapshot(
        self, database: str, size: int, comment: str | None, present: set[str]
    ) -> Snapshot:
        facts = texts.json_object(comment or "")
        kept = facts.get("migrations")
        return Snapshot(
            name=database[len(self._database("")) :],
            bytes=size,
            saved=facts.get("saved", ""),
            branch=facts.get("branch", ""),
            postgres=facts.get("postgres", 0),
            tenants=facts.get("tenants", []),
            masked=facts.get("masked", False),
            migrations_lacking=None if kept is None else sorted(present - set(kept)),
            migrations_added=None if kept is None else sorted(set(kept) - present),
        )

    # Copying

    @contextlib.contextmanager
    def _plain_copy(self) -> Iterator[str]:
        """Copy the current database; drop what the caller leaves of the copy and the old one."""
        _, new = self._work_databases
        try:
            self._copy(self._main, new)
            yield new
        finally:
            self._ask(*map(_drop, self._work_databases))

    @contextlib.contextmanager
    def masked(self) -> Iterator[str]:
        """A copy of the current database without personal data, for a while.

        Only a superuser can read it, and that only once the data is masked.
        """
        # Web is asked, because the code that runs describes the database.
        masking = self.engine.ask(WEB, ["python", "manage.py", "sqlmask"])
        if masking is None:
            raise DevError("web does not run, and only it knows what to mask", "./dev up")
        if not masking.ok:
            raise DevError(f"what to mask is unknown: {masking.errors.strip()}", _DECLARE)
        with self._plain_copy() as new:
            # A superuser is exempt from the limit.
            self._ask(f"ALTER DATABASE {identifier(new)} ALLOW_CONNECTIONS true CONNECTION LIMIT 0")
            query(self.engine, script=masking.output, database=new, timeout=_COPYING)
            yield new

    def _copy(self, source: str, target: str) -> None:
        """Create `target` as a copy of `source`, without connections to `source`.

        CREATE DATABASE first locks its source, so that new connections wait, and then gives
        existing ones five seconds to close.
        """
        create = (
            f"CREATE DATABASE {identifier(target)} TEMPLATE {identifier(source)} "
            f"OWNER {identifier(self._owner)} ALLOW_CONNECTIONS false"
        )
        self._again(
            lambda: self._ask(
                *map(_drop, self._work_databases),
                self._locked,
                _end_connections(source),
                create,
                timeout=_COPYING,
            )
        )

    @property
    def _locked(self) -> str:
        """SQL that waits for a release in progress, and blocks others until the session ends."""
        return f"SET lock_timeout = '{_PATIENCE}s'; SELECT pg_advisory_lock({RELEASE_LOCK})"

    def _again(self, work: Callable[[], object]) -> None:
        """Do `work`; retry if a client connected after all connections were closed."""
        for attempt in range(1, _TRIES + 1):
            try:
                work()
                return
            except DevError as error:
                words = error.problems[0].what
                if "lock timeout" in words:
                    raise DevError(
                        f"a release has been at work for {_PATIENCE} s",
                        "wait until it ends, then try again: ./dev logs migrate",
                    ) from error
                if _IN_USE not in words or attempt == _TRIES:
                    raise

    def _rename(self, old: str, new: str) -> str:
        return f"ALTER DATABASE {identifier(old)} RENAME TO {identifier(new)}"

    def _ask(self, *statements: str, timeout: float = 120) -> list[str]:
        return query(self.engine, *statements, database=MAINTENANCE, timeout=timeout)


def remembered(checkout: Checkout) -> list[str]:
    """The names of the snapshots at the last listing."""
    return checkout.recall(SUBJECT).get("names", [])


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid snapshot name",
            "use up to 40 lower-case letters, digits, `.`, `_` and `-`, a letter or digit first",
        )


def _drop(database: str) -> str:
    return f"DROP DATABASE IF EXISTS {identifier(database)}"


def _end_connections(database: str) -> str:
    return f"{_END} WHERE datname = {literal(database)} AND pid <> pg_backend_pid()"


def _branch(checkout: Checkout) -> str:
    """The current branch; empty if git does not report it."""
    with contextlib.suppress(DevError):  # git is missing
        return git(checkout, "branch", "--show-current", fails=True)
    return ""
