"""The database: a PostgreSQL process with its cluster in the checkout."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import ports, processes, readiness
from ..database_upgrade import INCOMPLETE
from ..declared import extensions
from ..errors import DevError
from ..process import Result, background, capture
from ..services import DATABASE
from . import account, postgres_programs
from .postgres_programs import PACKAGES
from .stack import Program, Stack

# SIGTERM would wait for all clients to disconnect.
STOP_SIGNAL = {DATABASE: "INT"}

# After the name of the cluster that an upgrade keeps.
KEPT = "-kept"

_INITIAL_SCRIPTS = "/docker-entrypoint-initdb.d"
_SCRIPTS = "/scripts"
_CLUSTER = "/var/lib/postgresql"
# https://www.postgresql.org/docs/18/auth-pg-hba-conf.html
_ACCESS = """\
# Written by ./dev at each start.
# The default superuser password is public, so the superuser may log in only by the socket, whose
# directory is not accessible to other users of this machine.
local all all scram-sha-256
host all "{superuser}" all reject
host all all 127.0.0.1/32 scram-sha-256
"""


class Postgres:
    """Creates the cluster once, like Compose's image, and defines how its server is started.

    With a `suffix`, it is another cluster beside that of the stack, and with other `programs`, of
    another version.
    """

    def __init__(self, stack: Stack, *, suffix: str = "", programs: Path | None = None) -> None:
        self.stack = stack
        self.service = stack.declaration.services[DATABASE]
        self.settings = stack.settings(self.service)
        self.user = self.settings["POSTGRES_USER"]
        self.database = self.settings["POSTGRES_DB"]
        self._places = stack.places
        self._socket = stack.places.sockets / f"db{suffix}"
        cluster = stack.place(self.service.volumes[_CLUSTER])
        # The data directory, which may not exist yet.
        self.cluster = cluster.with_name(f"{cluster.name}{suffix}")
        self._copies = stack.places.outside / f"programs{suffix}"
        # The mark of an upgrade of the cluster that is not complete.
        self.incomplete = cluster.with_name(INCOMPLETE)
        self.scripts = stack.place(self.service.volumes[_SCRIPTS])
        if programs:
            self.programs = programs
        self._passwords = self.cluster.with_suffix(".pass")

    def program(self) -> Program:
        """The server as a process."""
        port = str(self.stack.ports[DATABASE])
        command = self._server(self._home, "-p", port, "-c", f"listen_addresses={ports.LOOPBACK}")
        return Program(
            self.service,
            self.stack.script(self.service, Path("/"), shlex.join(command)),
            ready=lambda _: self._answers(ports.LOOPBACK, port),
            prepare=self._prepare_start,
            preparation=self._preparation,
            stop_signal=STOP_SIGNAL[DATABASE],
        )

    @property
    def superuser_environment(self) -> dict[str, str]:
        """The variables for PostgreSQL's programs to connect and log in as superuser."""
        return {
            **self.stack.kept(),
            "PGPASSFILE": str(self._passwords),
            "PATH": f"{self.programs}:{self.stack.checkout.variables.get('PATH', '')}",
            "PGHOST": str(self._socket),
            "PGPORT": str(self.stack.ports[DATABASE]),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
        }

    @property
    def version(self) -> int:
        """The major version of its programs."""
        return postgres_programs.version(self.programs)

    @property
    def written(self) -> int:
        """The major version that wrote the cluster; 0 if there is none."""
        try:
            return int((self._home / "PG_VERSION").read_text())
        except (OSError, ValueError):
            return 0

    def _prepare_start(self) -> None:
        if self.incomplete.exists():
            raise DevError("the upgrade of the database is not complete", "./dev upgrade-db")
        if self.written not in (0, self.version):
            raise DevError(
                f"the database was written by PostgreSQL {self.written}; the stack runs"
                f" {self.version}, which cannot read it",
                "./dev down && ./dev upgrade-db",
            )
        self.prepare()

    def prepare(self) -> None:
        """Create the cluster if there is none, and prepare it for a start."""
        for name in ("initdb", "postgres"):  # reported here, not by a crash later
            if not (self.programs / name).exists():
                raise DevError(f"{self.programs / name} is missing", "delete .venv: rm -r .venv")
        if self._places.outside in (*self._usable_programs.parents, *self._home.parents):
            self._places.make_outside()
        if not self._usable_programs.exists():
            self._copy_programs()
        if self.cluster.is_symlink() and not self._places.leads_outside(self.cluster):
            self.cluster.unlink()
        if self._home != self.cluster and not self.cluster.is_symlink():
            self._move_out()
        self._socket.mkdir(mode=0o700, exist_ok=True)
        self._account.own(self._socket)
        if self._copied_in_use:
            shutil.rmtree(self._home)
        new = not self._home.exists()
        if new:
            self._make_cluster()
        self._write_access()
        self._account.own(self._home)
        self._forget_dead_server()
        if not new:
            self._set_passwords()

    # Finding the programs

    @cached_property
    def programs(self) -> Path:
        """The directory of PostgreSQL's programs. Raises DevError if there is none."""
        return postgres_programs.find(
            self.stack.python.parent.parent,
            self.stack.checkout.variables.get("PATH", os.defpath),
            extensions.load(self.stack.checkout.root),
        )

    @cached_property
    def _account(self) -> account.Account:
        return account.choose(self.stack.checkout)

    @cached_property
    def _usable_programs(self) -> Path:
        """The programs that the account can run: a copy, if it cannot read .venv."""
        if self._account.reaches(self.stack.checkout, self.programs):
            return self.programs
        return self._copies / self.programs.relative_to(self._package.parent)

    @property
    def _package(self) -> Path:
        found = next((path for path in self.programs.parents if path.name in PACKAGES), None)
        if found is None:
            raise DevError(
                f"PostgreSQL's user cannot run {self.programs}/postgres",
                f"allow it: sudo chmod o+rx {shlex.quote(str(self.programs))}",
            )
        return found

    def _copy_programs(self) -> None:
        part = self._copies.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        # With the package's libraries, which are next to the programs.
        for source in (
            self.programs.parent,
            *self._package.parent.glob(f"{self._package.name}*.libs"),
        ):
            copy = part / source.relative_to(self._package.parent)
            shutil.copytree(source, copy, symlinks=True)
        for directory in (part, *part.rglob("*")):
            if directory.is_dir():
                directory.chmod(0o755)
        shutil.rmtree(self._copies, ignore_errors=True)  # those of another package
        part.replace(self._copies)

    @cached_property
    def _home(self) -> Path:
        """The cluster's parent: in the checkout, or outside if the account cannot read that."""
        outside = self._places.outside / self.cluster.name
        if self._places.leads_outside(self.cluster):
            return self.cluster.resolve()
        if outside.exists() and not self.cluster.exists():  # `.dev` was deleted
            return outside
        if self._account.reaches(self.stack.checkout, self.cluster.parent):
            return self.cluster
        return outside

    @property
    def _preparation(self) -> str:
        if self._copied_in_use:
            return "creating the database again: this one was copied while a server wrote to it"
        return "" if self._home.exists() else "creating the database"

    @property
    def _copied_in_use(self) -> bool:
        """Whether it was copied while a server used it: such a copy is inconsistent."""
        # https://www.postgresql.org/docs/18/storage-file-layout.html
        try:
            _, original, *_ = (self.cluster / "postmaster.pid").read_text().split("\n")
            # A cluster that was moved leaves none at its old path.
            return Path(original).is_dir() and not self.cluster.samefile(original)
        except (OSError, ValueError):
            return False

    def _move_out(self) -> None:
        if self.cluster.exists():
            shutil.move(str(self.cluster), self._home)
        self.cluster.symlink_to(self._home)

    # The cluster

    def _make_cluster(self) -> None:
        """Under a temporary name, so that an interrupted attempt does not count as a cluster."""
        new = self._home.with_suffix(".new")
        if new.exists():
            shutil.rmtree(new)
        self._keep_password()
        password = self.settings["POSTGRES_PASSWORD"]
        secret = self._socket / "password"
        self.stack.checkout.write(secret, f"{password}\n")
        self._account.own(secret)
        new.mkdir(mode=0o700)
        self._account.own(new)
        try:
            self._do(
                *self._account.prefix,
                *(str(self._usable_programs / "initdb"), "--pgdata", str(new)),
                *("--username", self.user, "--pwfile", str(secret), "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C"),
                *shlex.split(self.settings.get("POSTGRES_INITDB_ARGS", "")),
                what="creating the database cluster",
            )
        finally:
            secret.unlink(missing_ok=True)
        self._fill(new)
        new.replace(self._home)

    @contextmanager
    def serving(self, *options: str, cluster: Path | None = None) -> Iterator[None]:
        """Run the server during the block, without a network.

        On the prepared cluster, or on one that is not in its place yet.
        """
        port = str(self.stack.ports[DATABASE])
        with background(
            self._server(cluster or self._home, "-p", port, "-c", "listen_addresses=", *options),
            directory=Path("/"),
            # To be found if this command is killed.
            environment={
                **self.stack.kept(),
                **processes.marks(self.stack.checkout.root, self.service.name),
            },
            stop=signal.SIGINT,
        ) as server:

            def answers() -> bool:
                if server.status is not None:
                    raise DevError(f"the database did not start: {server.output.strip()[-500:]}")
                return self._answers(str(self._socket), port)

            readiness.wait_until(answers, 60, "the database did not answer")
            yield

    def rename(self, new: Path) -> None:
        """Give the cluster the path `new`, beside its own."""
        self._passwords.unlink(missing_ok=True)  # `prepare` writes that of the new path
        home = self._home
        if home == self.cluster:
            home.rename(new)
            return
        home.rename(home.with_name(new.name))
        self.cluster.unlink()
        new.symlink_to(home.with_name(new.name))

    def delete(self) -> None:
        """Delete the cluster, if there is one."""
        shutil.rmtree(self._home, ignore_errors=True)
        if self.cluster.is_symlink():
            self.cluster.unlink()
        self._passwords.unlink(missing_ok=True)

    def _write_access(self) -> None:
        access = self._home / "pg_hba.conf"
        self.stack.checkout.write(access, _ACCESS.format(superuser=self.user))
        self._account.own(access)

    def _fill(self, cluster: Path) -> None:
        """Create the application's database and run the init scripts, without a network."""
        scripts = self.stack.place(self.service.volumes[_INITIAL_SCRIPTS])
        files = sorted(scripts.iterdir())
        strange = [file.name for file in files if file.suffix != ".sql"]
        if strange:
            raise DevError(f"not SQL, in {scripts}: {', '.join(strange)}", "use only *.sql here")
        with self.serving(cluster=cluster):
            psql = str(self.programs / "psql")
            if self.database != "postgres":
                create = ("--dbname", "postgres", "--command", f'CREATE DATABASE "{self.database}"')
                self._do(psql, *create, what="creating the database")
            for file in files:
                arguments = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", str(file))
                self._do(psql, *arguments, what=f"running {file.name}")

    def _keep_password(self) -> None:
        """Write the superuser's password into the file that psql reads."""
        escaped = re.sub(r"([\\:])", r"\\\1", self.settings["POSTGRES_PASSWORD"])
        self.stack.checkout.write(self._passwords, f"*:*:*:{self.user}:{escaped}\n")

    def _set_passwords(self) -> None:
        """Set the configured passwords of the roles of an existing cluster, like Compose's `db`."""
        # Passed as text: the account may not be able to read the checkout.
        script = (self.scripts / "set-passwords").read_text("utf-8")
        cluster = {"PGDATA": str(self._home), "PATH": f"{self._usable_programs}:{os.defpath}"}
        self._do(
            *(*self._account.prefix, "env", *(f"{key}={value}" for key, value in cluster.items())),
            *("sh", "-c", script),
            what="setting the passwords of the database's roles",
        )
        self._keep_password()

    def _forget_dead_server(self) -> None:
        """Delete the lock file of a dead server: another process may have its process id now."""
        lock = self._home / "postmaster.pid"
        try:
            number = int(lock.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        # A server's working directory is its cluster.
        if processes.directory(number) != self._home.resolve():
            lock.unlink(missing_ok=True)

    # Running its programs

    def _server(self, cluster: Path, *options: str) -> list[str]:
        program = (str(self._usable_programs / "postgres"), "-D", str(cluster))
        return [*self._account.prefix, *program, "-k", str(self._socket), *options]

    def _answers(self, host: str, port: str) -> bool:
        # Not as the superuser, whom TCP rejects with a line in the log.
        options = ("--quiet", "--timeout", "1", "--host", host, "--port", port, "--username", "any")
        return self.run(str(self.programs / "pg_isready"), *options).ok

    def _do(self, *command: str, what: str) -> None:
        self.run(*command, timeout=300).must(
            f"{what} failed", "fix that and run ./dev up again: it repeats this step"
        )

    def run(self, *command: str, timeout: float = 60, **files: Any) -> Result:
        """Run `command` as superuser; return its result. `files` are as for `process.capture`."""
        settings = {**self.settings, "TZ": "UTC", "LC_ALL": "C"}
        return capture(
            command,
            directory=Path("/"),
            environment={**self.superuser_environment, **settings},
            timeout=timeout,
            **files,
        )
