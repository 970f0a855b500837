"""The files and directories of the embedded engine."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

from .. import identity
from ..checkout import Checkout
from ..errors import DevError
from ..places_outside import place

# By name, because PostgreSQL looks up its user, so a numeric id would not work.
OTHER_USER = "nobody"


class Places:
    """Paths of one checkout. Those in `.dev` persist; those below `sockets` last until `down`."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self._dev = checkout.root / identity.DIRECTORY
        self.data = self._dev / "data"
        self.logs = self._dev / "logs"
        self.scripts = self._dev / "run"
        self.heartbeat = self.scripts / "worker-heartbeat"
        # A socket's path is limited to about 100 bytes; a checkout's path may be longer and have
        # any characters. Derived from the checkout's path, so that it can be found without `.dev`.
        name = hashlib.sha256(f"{os.getuid()} {checkout.root}".encode()).hexdigest()[:12]
        self.sockets = place("/tmp", name)
        self.supervisor_socket = self.sockets / "supervisor.sock"
        # The last started configuration is kept here too, because it must survive without `.dev`.
        self.ports = self.sockets / "ports.json"

    @property
    def outside(self) -> Path:
        """The directory for files that a user without access to the checkout must read."""
        return identity.outside(self.checkout.identity.id)

    def leads_outside(self, path: Path) -> bool:
        """Whether `path` is a link to this checkout's outside directory. In a copy the link
        leads to the original's."""
        return path.is_symlink() and self.outside.resolve() in path.resolve().parents

    def log(self, service: str) -> Path:
        """The log of `service`."""
        return self.logs / f"{service}.log"

    def script(self, service: str) -> Path:
        """The start script of `service`."""
        return self.scripts / service

    def make(self) -> None:
        """Create the directories in the checkout. Raises DevError on failure."""
        with self.checkout.writing():
            for directory in (self.checkout.state, self.data, self.logs, self.scripts):
                directory.mkdir(exist_ok=True)
            # Logs contain tokens and addresses, scripts contain passwords.
            for directory in (self.logs, self.scripts):
                directory.chmod(0o700)

    def make_outside(self) -> None:
        """Create the outside directory, with a record of this checkout."""
        self.outside.mkdir(mode=0o755, exist_ok=True)
        record = identity.as_record(self.checkout.identity, self.checkout.root)
        self.checkout.write(self.outside / identity.FILE, json.dumps(record))

    def make_sockets(self) -> None:
        """Create the directory of sockets. Raises DevError on failure, or if it is not ours."""
        with self.checkout.writing():
            self.sockets.mkdir(mode=0o711, exist_ok=True)
            link = self.sockets / "dev"
            if not link.is_symlink():
                link.symlink_to(self._dev)
        found = self.sockets.lstat()
        # Anyone can create a directory in /tmp, and we trust the contents of this one.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise DevError(
                f"{self.sockets} belongs to another user", f"delete it: sudo rm -r {self.sockets}"
            )
