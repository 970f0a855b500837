"""Where the embedded engine keeps what it makes."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from .. import identity
from ..checkout import Checkout
from ..errors import DevError

# By name: PostgreSQL looks its user up, so a bare number would not do.
OTHER_USER = "nobody"


class Places:
    """Paths of one checkout. Those in `.dev` stay; those below `sockets` last until `down`."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self._dev = checkout.root / identity.DIRECTORY
        self.data = self._dev / "data"
        self.logs = self._dev / "logs"
        self.scripts = self._dev / "run"
        self.heartbeat = self.scripts / "worker-heartbeat"
        # A socket's path may have about 100 bytes, and a checkout's any length and any
        # character: below here both are known. By the path, so that it is found without `.dev`.
        name = hashlib.sha256(f"{os.getuid()} {checkout.root}".encode()).hexdigest()[:12]
        self.sockets = Path("/tmp") / f"homeport-{name}"
        self.supervisor_socket = self.sockets / "supervisor.sock"
        self.web_socket = self.sockets / "web.sock"
        # Of what was started last: kept here as well, where it outlives `.dev`.
        self.ports = self.sockets / "ports.json"

    @property
    def outside(self) -> Path:
        """Where a user that cannot reach the checkout finds what it must read."""
        return Path("/var/tmp") / f"homeport-{self.checkout.identity.id}"

    def leads_outside(self, path: Path) -> bool:
        """Whether `path` is a link to what this checkout keeps outside. One that was copied with
        a checkout leads to what the other one keeps."""
        return path.is_symlink() and self.outside.resolve() in path.resolve().parents

    def log(self, service: str) -> Path:
        """What `service` writes."""
        return self.logs / f"{service}.log"

    def script(self, service: str) -> Path:
        """What starts `service`."""
        return self.scripts / service

    def make(self) -> None:
        """Make the directories in the checkout. Raises DevError if they cannot be made."""
        try:
            for directory in (self.checkout.state, self.data, self.logs, self.scripts):
                directory.mkdir(exist_ok=True)
            # Logs hold tokens and addresses, scripts hold passwords.
            for directory in (self.logs, self.scripts):
                directory.chmod(0o700)
        except OSError as error:
            raise self.checkout.unwritable(error) from error

    def make_sockets(self) -> None:
        """Make the directory of sockets. Raises DevError if that cannot be, or is not ours."""
        try:
            self.sockets.mkdir(mode=0o711, exist_ok=True)
            link = self.sockets / "dev"
            if not link.is_symlink():
                link.symlink_to(self._dev)
        except OSError as error:
            raise self.checkout.unwritable(error) from error
        found = self.sockets.lstat()
        # Anybody may make a directory in /tmp, and what is in this one is trusted.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise DevError(
                f"{self.sockets} belongs to somebody else", f"delete it: sudo rm -r {self.sockets}"
            )

    def write(self, path: Path, text: str, mode: int = 0o600) -> None:
        """Write `path` anew, never half of it. Raises DevError if that fails."""
        part = path.with_name(f"{path.name}.part")
        try:
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(text)
            part.replace(path)
        except OSError as error:
            raise self.checkout.unwritable(error) from error
