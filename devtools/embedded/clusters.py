"""The clusters of a database whose data is in the checkout."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import processes
from ..database_upgrade import DONE_WITHIN, SUMS, Clusters, Found
from ..process import Result
from ..services import DATABASE
from . import postgres_programs
from .postgres import KEPT, Postgres
from .stack import Stack


class DirectoryClusters(Clusters):
    """The cluster in use and the kept one, side by side.

    The programs of the old version are in `programs`, or where packages install them.
    """

    def __init__(self, stack: Stack, programs: Path | None) -> None:
        self._stack, self._given = stack, programs
        self.wanted = self._in_use.version
        root = stack.checkout.root
        self.place = str(self._in_use.cluster.relative_to(root))
        self.kept_place = str(self._kept().cluster.relative_to(root))

    @property
    def _in_use(self) -> Postgres:
        return Postgres(self._stack)  # each time: where it is changes

    def _kept(self, version: int = 0) -> Postgres:
        """The kept cluster; with its `version`, with programs that serve it."""
        programs = self._programs(version) if version else None
        return Postgres(self._stack, suffix=KEPT, programs=programs)

    def _programs(self, version: int) -> Path:
        checkout = self._stack.checkout
        given = checkout.root / self._given if self._given else None
        path = checkout.variables.get("PATH", "")
        return postgres_programs.of_version(version, given, path)

    def look(self) -> Found:
        # The servers of an upgrade that was killed.
        marks = processes.marks(self._stack.checkout.root, DATABASE)
        processes.stop(marks, signal.SIGINT, DONE_WITHIN)
        written = self._in_use.written
        return Found(
            other=0 if written == self.wanted else written,
            kept=self._kept().written,
            incomplete=self._in_use.incomplete.exists(),
        )

    def keep(self) -> None:
        in_use = self._in_use
        self._programs(in_use.written)  # refused while nothing has changed
        # Without a cluster in use, a start would create an empty one.
        in_use.incomplete.touch()
        self._kept().delete()
        in_use.rename(self._kept().cluster)

    def put_back(self) -> None:
        in_use = self._in_use
        in_use.incomplete.touch()
        in_use.delete()
        self._kept().rename(in_use.cluster)
        in_use.incomplete.unlink()

    def forget(self) -> None:
        self._kept().delete()

    @contextlib.contextmanager
    def serving(self, kept: int) -> Iterator[None]:
        self._in_use.delete()
        self._new, self._old = self._in_use, self._kept(kept)
        for one in (self._old, self._new):
            one.prepare()
        # A dump locks every table.
        with self._old.serving("-c", "max_locks_per_transaction=1024"), self._new.serving():
            yield

    def sums(self, *, of_kept: bool) -> str:
        server = self._old if of_kept else self._new
        psql = ("psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1")
        return self._run(server, *psql, given=SUMS).output

    def transfer(self) -> None:
        with tempfile.TemporaryFile(dir=self._stack.checkout.state) as dump:
            self._run(self._old, "sh", str(self._old.scripts / "dump"), into=dump)
            dump.seek(0)
            self._run(self._new, "sh", str(self._new.scripts / "restore"), given=dump)

    def complete(self) -> None:
        self._in_use.incomplete.unlink()

    def _run(self, server: Postgres, *command: str, **files: Any) -> Result:
        done = server.run(*command, timeout=DONE_WITHIN, **files)
        return done.must(f"`{' '.join(command[:2])}` failed")
