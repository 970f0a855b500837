"""The clusters of a database whose data is in a volume.

PG_VERSION is the first file that is deleted of a cluster and the last that is copied, so a cluster
that has it is complete.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from .. import readiness
from ..checkout import Checkout
from ..database_upgrade import DONE_WITHIN, INCOMPLETE, SUMS, Clusters, Found
from ..errors import DevError, Problem
from ..process import Result, capture
from ..services import DATABASE

_STARTED_WITHIN = 120  # seconds

# Copy a cluster, PG_VERSION last. The lock file of a killed server may name a process of the next.
_COPY = """
set -e
rm -f /to/PG_VERSION /to/*/docker/PG_VERSION
find /to -mindepth 1 -delete
mkdir /to/.part
cp -a /from/. /to/.part/
rm -f /to/.part/postmaster.pid /to/.part/*/docker/postmaster.pid
find /to/.part -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv {} /to/ \\;
test ! -e /to/.part/PG_VERSION || mv /to/.part/PG_VERSION /to/
rmdir /to/.part
chown "$(stat -c %u:%g /from)" /to
chmod "$(stat -c %a /from)" /to
"""
_CLEAR = f"""
set -e
touch /to/{INCOMPLETE}
rm -f /to/PG_VERSION /to/*/docker/PG_VERSION
find /to -mindepth 1 ! -name {INCOMPLETE} -delete
"""
_LOOK = f"""
cd /to
for found in PG_VERSION */docker/PG_VERSION; do test ! -s $found || cat $found; done
test ! -e {INCOMPLETE} || echo {INCOMPLETE}
"""
_PSQL = 'exec psql -XqAt -F "$1" -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"'
_IS_READY = 'pg_isready -q -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"'


class VolumeClusters(Clusters):
    """The cluster in the volume that a Compose file declares, the kept one in a second volume."""

    def __init__(
        self, checkout: Checkout, environment: Mapping[str, str], configuration: dict[str, Any]
    ) -> None:
        """`environment` is that of `docker`; `configuration` is the Compose file's, filled in."""
        self._checkout, self._environment = checkout, environment
        self._service = service = configuration["services"][DATABASE]
        (source,) = [one["source"] for one in service["volumes"] if one["type"] == "volume"]
        self._volume = configuration["volumes"][source]["name"]
        self._kept = f"{self._volume}-kept"
        self.place, self.kept_place = f"the volume {self._volume}", f"the volume {self._kept}"
        self._image = service["image"]
        self.wanted = int(re.sub(r".*postgres\D*:(\d+).*", r"\1", self._image))
        self._old, self._new = f"{self._volume}-old", f"{self._volume}-new"

    def look(self) -> Found:
        self._remove_servers()
        for volume in (self._volume, self._kept):
            if self._docker("ps", "--quiet", "--filter", f"volume={volume}").output:
                raise DevError(f"a container uses the volume {volume}", "stop the stack: down")
        here, kept = self._look_at(self._volume), self._look_at(self._kept)
        versions = [int(word) for word in here if word.isdigit()]
        return Found(
            other=max((version for version in versions if version != self.wanted), default=0),
            kept=max((int(word) for word in kept), default=0),
            incomplete=INCOMPLETE in here,
        )

    def keep(self) -> None:
        labels = json.loads(
            self._docker("volume", "inspect", "-f", "{{json .Labels}}", self._volume).output
        )
        # Not that of the declared volume, which Compose would take it for.
        options = [
            f"--label={name}={value}"
            for name, value in (labels or {}).items()
            if name != "com.docker.compose.volume"
        ]
        self._docker("volume", "create", *options, self._kept)
        self._shell(_COPY, source=self._volume, target=self._kept)

    def put_back(self) -> None:
        self._shell(_COPY, source=self._kept, target=self._volume)
        self.forget()

    def forget(self) -> None:
        self._docker("volume", "rm", self._kept)

    @contextlib.contextmanager
    def serving(self, kept: int) -> Iterator[None]:
        self._shell(_CLEAR, target=self._volume)
        image = re.sub(r"(postgres\D*:)\d+", rf"\g<1>{kept}", self._image)
        # Up to 17, the volume is the cluster. A dump locks every table.
        directory = "/var/lib/postgresql/data" if kept < 18 else "/var/lib/postgresql"
        command = ("postgres", "-c", "max_locks_per_transaction=1024")
        try:
            self._start(self._old, f"{self._kept}:{directory}", image, *command)
            self._start(self._new, f"{self._volume}:/var/lib/postgresql", self._image, "postgres")
            yield
            # With a checkpoint, so that the next start recovers nothing.
            self._docker("stop", "--time", "120", self._old, self._new, timeout=300)
        finally:
            self._remove_servers()

    def sums(self, *, of_kept: bool) -> str:
        server = self._old if of_kept else self._new
        command = ("exec", "--interactive", server, "sh", "-c", _PSQL, "sh", "\t")
        return self._docker(*command, timeout=DONE_WITHIN, given=SUMS).output

    def transfer(self) -> None:
        with tempfile.TemporaryFile(dir=self._checkout.state) as dump:
            self._docker("exec", self._old, "/scripts/dump", timeout=DONE_WITHIN, into=dump)
            dump.seek(0)
            command = ("exec", "--interactive", self._new, "/scripts/restore")
            self._docker(*command, timeout=DONE_WITHIN, given=dump)

    def complete(self) -> None:
        self._shell(f"rm /to/{INCOMPLETE}", target=self._volume)

    def _start(self, name: str, data: str, image: str, *command: str) -> None:
        binds = [one for one in self._service["volumes"] if one["type"] == "bind"]
        mounts = [data, *(f"{one['source']}:{one['target']}:ro" for one in binds)]
        options = [f"--volume={mount}" for mount in mounts]
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as variables:
            for variable, value in (self._service.get("environment") or {}).items():
                variables.write(f"{variable}={value}\n")
            variables.flush()
            self._docker(
                *("run", "--detach", "--name", name, "--network", "none", "--user", "postgres"),
                *("--stop-signal", "SIGINT", "--shm-size", "256m", *options),
                *("--env-file", variables.name, "--entrypoint", "docker-entrypoint.sh", image),
                *command,
                timeout=DONE_WITHIN,  # it may pull the image
            )
        is_ready = ("docker", "exec", name, "sh", "-c", _IS_READY)

        def answers() -> bool:
            return self._capture(*is_ready).ok

        try:
            readiness.wait_until(answers, _STARTED_WITHIN, f"{image} did not start")
        except DevError as error:
            said = self._capture("docker", "logs", "--tail", "20", name)
            raise DevError.of([*error.problems, Problem(said.output + said.errors)]) from None

    def _remove_servers(self) -> None:
        for server in (self._old, self._new):
            self._capture("docker", "rm", "--force", "--volumes", server)

    def _look_at(self, volume: str) -> list[str]:
        if not self._capture("docker", "volume", "inspect", volume).ok:
            return []
        return self._shell(_LOOK, target=volume).output.split()

    def _shell(self, script: str, *, target: str, source: str = "") -> Result:
        mounts = [f"--volume={target}:/to", *([f"--volume={source}:/from:ro"] if source else [])]
        options = ("--rm", "--network", "none", "--user", "0", "--entrypoint", "sh")
        command = ("run", *options, *mounts, self._image, "-c", script)
        return self._docker(*command, timeout=DONE_WITHIN)

    def _docker(self, *arguments: str, timeout: float = 60, **files: Any) -> Result:
        done = self._capture("docker", *arguments, timeout=timeout, **files)
        return done.must(f"`docker {' '.join(arguments[:2])}` failed", done.errors.strip())

    def _capture(self, *command: str, timeout: float = 60, **files: Any) -> Result:
        return capture(
            command,
            directory=self._checkout.root,
            environment=self._environment,
            timeout=timeout,
            **files,
        )
