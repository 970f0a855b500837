"""Rehearse a release on a copy of the database, while older code uses it.

Each statement that changes tables is judged by what PostgreSQL did: which locks the transaction
holds, whether it read or rewrote a table that was there before. The rules of linters guess that
from the SQL. Whether the code before works is found out by running it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.migrations import Migration
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import get_public_schema_name
from psycopg.errors import ActiveSqlTransaction

from core.database_limits import connection_options
from core.env import environment
from tenants.extensions import ExtensionUnavailable, make_extensions
from tenants.locks import retry_locks
from tenants.migration import faults, migrate, migrations_on_disk, stamp
from tenants.models import Tenant
from tenants.provisioning import grant_in_public, unprovisioned
from tenants.release import TENANTS_A_CONNECTION, start_afresh

# Of a copy's name: it must never be the database itself.
COPY = "@@rehearsal"
OLD_CODE = Path(__file__).with_name("old_code.py")

DATA = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|SAVEPOINT|RELEASE|ROLLBACK)\b", re.I)
# Other sessions can read only, or not even that, while a transaction holds them.
BLOCKING = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"]
LOOK = """
SELECT class.oid, relname, pg_relation_filenode(class.oid),
       pg_stat_get_xact_numscans(class.oid), array_remove(array_agg(mode), NULL)
FROM pg_class class LEFT JOIN pg_locks held
     ON relation = class.oid AND pid = pg_backend_pid() AND granted AND mode = ANY(%s)
WHERE class.oid = ANY(%s) GROUP BY class.oid
"""
TABLES = "SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s)"

KEEP = (
    "keep what running code needs until the release after; a new column is nullable or has a "
    "db_default"
)
REVERSE = "give it a reverse, such as RunPython.noop or RunSQL.noop"
# What reads a table, and the way without. The first that matches is it.
WAYS = {
    r"\bUNIQUE\b": (
        "builds a unique index",
        "CREATE UNIQUE INDEX CONCURRENTLY in a migration with atomic = False, then "
        "ADD CONSTRAINT ... UNIQUE USING INDEX",
    ),
    r"\bCREATE\s+INDEX\b": (
        "builds an index",
        "AddIndexConcurrently in a migration with atomic = False, also for a field's db_index",
    ),
    r"\bSET\s+NOT\s+NULL\b": (
        "looks for NULL",
        "first a CHECK (... IS NOT NULL) by AddConstraintNotValid and ValidateConstraint",
    ),
    r"\bTYPE\b": (
        "changes a type",
        "a new column, filled in batches; the old one goes in the release after",
    ),
    r"\bADD\s+CONSTRAINT\b": (
        "checks a constraint",
        "AddConstraintNotValid, then ValidateConstraint in another migration",
    ),
    "": ("reads it", "split it into statements that need no look at every row"),
}


AGAIN = "then rehearse again"
OTHER_CODE = "name the commit whose code serves this database: --old COMMIT"


class RehearsalFailed(Exception):
    """Nothing can be said about the release, for a reason with a remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass
class Finding:
    """Something unsafe in a migration, its remedy, and the schemas where it was seen."""

    migration: str
    what: str
    remedy: str
    schemas: list[str] = field(default_factory=list)
    allowed: bool = False


@dataclass
class Schema:
    """What the pending migrations did in one schema; `longest_wait` is the older code's."""

    schema: str
    migrations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    longest_wait: float = 0.0
    locks: list[dict[str, Any]] = field(default_factory=list)


class Report:
    """What a rehearsal has found."""

    def __init__(self, allowed: list[str]) -> None:
        self.allowed = allowed
        self.schemas: list[Schema] = []
        self.findings: dict[tuple[str, str], Finding] = {}
        self._errors: set[tuple[str, str]] = set()

    def add(self, schema: str, migration: str, what: str, remedy: str) -> None:
        """Add a finding, or the schema to it."""
        found = self.findings.setdefault(
            (migration, what),
            Finding(migration, what, remedy, allowed=migration in self.allowed),
        )
        if schema not in found.schemas:
            found.schemas.append(schema)

    def add_errors(self, schema: str, migration: str, errors: list[str]) -> None:
        """Add errors of the code before, each once for a schema."""
        for error in errors:
            if (schema, error) not in self._errors:
                self._errors.add((schema, error))
                self.add(schema, migration, f"the code before fails: {error}", KEEP)

    @property
    def safe(self) -> bool:
        """Whether nothing was found, or only what is allowed."""
        return all(found.allowed for found in self.findings.values())

    def as_json(self) -> dict[str, Any]:
        """The shape of `./dev release --rehearse --json`."""
        return {
            "safe": self.safe,
            "schemas": [asdict(schema) for schema in self.schemas],
            "unsafe": [asdict(found) for found in self.findings.values()],
        }


class OldCode:
    """A process of the code before the release, which uses the database that is connected."""

    def __init__(self, directory: Path) -> None:
        limits = connection_options(environment()["WEB_DATABASE_LIMITS"])
        source = OLD_CODE.read_text(encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-c", source, connection.settings_dict["NAME"], limits],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.migrations: set[str] = set()
        self._is_busy = False

    def __enter__(self) -> OldCode:
        try:
            self.migrations = set(self._answer())
        except RehearsalFailed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, schema: str) -> None:
        """Let it use the schema."""
        self.end()  # a migration that waited in vain for a lock begins again
        self._say(schema)
        self._is_busy = True

    def end(self) -> dict[str, Any]:
        """Let it stop, not before it has used every model; return errors and longest time."""
        if not self._is_busy:
            return {"errors": [], "longest": 0.0}
        self._is_busy = False
        self._say("")
        return self._answer()

    def once(self, schema: str) -> dict[str, Any]:
        """Let it use every model in the schema."""
        self.begin(schema)
        return self.end()

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):  # `_answer` says so
            print(line, file=self._process.stdin, flush=True)

    def _answer(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RehearsalFailed(
                "the code before has ended with the error above; it has the packages and "
                "variables of this release",
                OTHER_CODE,
            )
        return json.loads(line)


def rehearse(directory: Path, allowed: list[str], say: Callable[[str], object]) -> Report:
    """Migrate every schema of the connected copy while the code in `directory` uses it.

    Unlike a release it makes no tenant: their roles belong to the whole cluster.

    Raises:
        RehearsalFailed: when the code before the release is not that, or does not work even
            before anything is migrated; when no schema may be migrated at all.
    """
    if not connection.settings_dict["NAME"].endswith(COPY):
        raise RehearsalFailed("only a copy is migrated", "use ./dev release --rehearse")
    if found := faults():
        raise RehearsalFailed(found, AGAIN)
    try:
        make_extensions()
    except ExtensionUnavailable as error:
        raise RehearsalFailed(str(error), AGAIN) from error
    names = _behind()
    report = Report(allowed)
    if not names:
        return report
    with OldCode(directory) as old:
        _refuse_unfit(old, names)
        for number, name in enumerate(names, start=1):
            say(f"migrating {name}")
            report.schemas.append(_Rehearsed(name, old, report).run())
            if name == get_public_schema_name():
                grant_in_public()
            if number % TENANTS_A_CONNECTION == 0:
                start_afresh()
        for name in names:  # what was migrated after a schema may matter to it, too
            report.add_errors(name, "", old.once(name)["errors"])
    return report


def _behind() -> list[str]:
    """Return public and the tenants, if they lack migrations."""
    connection.set_schema_to_public()
    public = get_public_schema_name()
    missing = unprovisioned()
    behind = [
        tenant.schema_name
        for tenant in Tenant.objects.all()
        if tenant.schema_name not in missing and tenant.migrations_stamp != stamp()
    ]
    return [public, *behind] if behind or _pending() else []


def _pending() -> set[str]:
    applied = MigrationRecorder(connection).applied_migrations()
    return {f"{app}.{name}" for app, name in migrations_on_disk() - set(applied)}


def _refuse_unfit(old: OldCode, names: list[str]) -> None:
    connection.set_schema_to_public()
    if known := _pending() & old.migrations:
        raise RehearsalFailed(
            f"the code before has pending migrations, too: {', '.join(sorted(known))}", OTHER_CODE
        )
    for name in names:
        if errors := old.once(name)["errors"]:
            raise RehearsalFailed(
                f"the code before fails in {name} before anything is migrated: {errors[0]}",
                OTHER_CODE,
            )


class _Rehearsed:
    """Migrates one schema and watches."""

    def __init__(self, name: str, old: OldCode, report: Report) -> None:
        self.old = old
        self.report = report
        self.result = Schema(name)
        self.migration = ""
        self._known: list[int] = []
        self._held: dict[tuple[str, str], float] = {}
        self._limit = environment()["WEB_DATABASE_LIMITS"]["lock"]

    def run(self) -> Schema:
        name = self.result.schema
        began = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(TABLES, [name])
            self._known = [oid for (oid,) in cursor.fetchall()]
        try:
            with connection.execute_wrapper(self._execute):
                retry_locks(lambda: migrate(name, self._follow), name)
        except Exception as error:  # of any kind, from the migrations' own code
            [reason, *_] = str(error).splitlines() or [type(error).__name__]
            self._add(f"fails: {reason}", "correct it, then rehearse again")
            self._count(self.old.end())
            connection.close()
        finally:
            connection.set_schema_to_public()
        self.result.seconds = round(time.monotonic() - began, 3)
        return self.result

    def _add(self, what: str, remedy: str) -> None:
        self.report.add(self.result.schema, self.migration, what, remedy)

    # Migrations

    def _follow(self, action: str, migration: Migration | None) -> None:
        if action == "apply_start":
            self.migration = str(migration)
            self._held = {}
            self.old.begin(self.result.schema)
        elif action == "apply_success" and migration:
            self._release()
            self._count(self.old.end())
            self._count(self.old.once(self.result.schema))
            self.result.migrations.append(self.migration)
            for operation in migration.operations:
                if not operation.reversible:
                    self._add(f"cannot be undone: {type(operation).__name__}", REVERSE)
            self.migration = ""

    def _count(self, use: dict[str, Any]) -> None:
        self.result.longest_wait = max(self.result.longest_wait, round(use["longest"], 3))
        self.report.add_errors(self.result.schema, self.migration, use["errors"])

    # Statements

    def _execute(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Run a statement of a migration; look at what it does to tables if it may do any."""
        text = str(sql)
        if not self.migration or DATA.match(text):
            return execute(sql, params, many, context)
        if connection.in_atomic_block:
            with self._judging(text):
                return execute(sql, params, many, context)
        try:
            with transaction.atomic(), self._judging(text):
                result = execute(sql, params, many, context)
        except DatabaseError as error:
            if not isinstance(error.__cause__, ActiveSqlTransaction):
                raise
            # CONCURRENTLY, which blocks no other session.
            return execute(sql, params, many, context)
        self._release()
        return result

    @contextmanager
    def _judging(self, sql: str) -> Iterator[None]:
        before = self._look()
        began = time.monotonic()
        yield
        for oid, (table, file, scans, modes) in self._look().items():
            for mode in modes:
                self._held.setdefault((table, mode), began)
            _, old_file, old_scans, _ = before[oid]
            if file != old_file:
                self._add(f"rewrites {table} while no session can use it", WAYS[r"\bTYPE\b"][1])
            elif scans != old_scans and modes:
                ways = (way for pattern, way in WAYS.items() if re.search(pattern, sql, re.I))
                what, remedy = next(ways)
                self._add(f"{what}: reads all of {table} while writes wait", remedy)

    def _look(self) -> dict[int, tuple[str, int, int, list[str]]]:
        # By psycopg's own cursor: this statement is not one of the migration.
        with connection.connection.cursor() as cursor:
            cursor.execute(LOOK, [BLOCKING, self._known])
            return {oid: tuple(facts) for oid, *facts in cursor.fetchall()}

    def _release(self) -> None:
        """Note how long the locks were held; their transaction has ended."""
        now = time.monotonic()
        for (table, mode), since in self._held.items():
            seconds = round(now - since, 3)
            self.result.locks.append(
                {"migration": self.migration, "table": table, "mode": mode, "seconds": seconds}
            )
            if self._limit and seconds > self._limit:
                self._add(
                    f"blocks {table} for longer than the {self._limit} s that a request waits",
                    "split it, with what takes long in a migration that takes no lock",
                )
        self._held = {}
