"""The user that PostgreSQL runs as: it refuses to run as root."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checkout import Checkout
from ..errors import DevError, NoAnswer
from ..process import capture
from .places import OTHER_USER


@dataclass(frozen=True)
class Account:
    """The command `prefix` switches to the account; `uid` and `gid` own its files."""

    prefix: Sequence[str]
    uid: int
    gid: int

    def reaches(self, checkout: Checkout, path: Path) -> bool:
        """Whether the account may read and enter `path`."""
        return _works(checkout, *self.prefix, "test", "-r", str(path), "-a", "-x", str(path))

    def own(self, path: Path) -> None:
        """Make the account the owner of `path` and everything below. Only root can do this."""
        if os.getuid() != 0 or path.stat().st_uid == self.uid:
            return
        # Bottom up: after an interruption, the owner of `path` shows that work remains.
        for directory, _, files in os.walk(path, topdown=False):
            for name in [*files, "."]:
                os.chown(Path(directory, name), self.uid, self.gid, follow_symlinks=False)
        os.chown(path, self.uid, self.gid)


def choose(checkout: Checkout) -> Account:
    """The account for this machine and this user. Raises DevError if there is none."""
    if os.getuid() != 0:
        return _own()
    other = pwd.getpwnam(OTHER_USER)
    inside = (
        *("unshare", "--user", f"--map-user={other.pw_uid}", f"--map-group={other.pw_gid}", "--"),
    )
    # The other user exists only in the namespace: outside, root owns its files, wherever they are.
    if _works(checkout, *inside, "true"):
        return Account(inside, 0, 0)
    changed = (
        *("setpriv", f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}", "--clear-groups", "--"),
    )
    if _works(checkout, *changed, "true"):
        return Account(changed, other.pw_uid, other.pw_gid)
    raise DevError(
        "PostgreSQL refuses to run as root, and this machine allows root neither a user "
        f"namespace (unshare) nor to become {OTHER_USER} (setpriv)",
        "use an ordinary user",
    )


def _own() -> Account:
    uid = os.getuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise DevError(
            f"PostgreSQL cannot run as user id {uid}, which has no account on this machine",
            f"create the account as root, or be another user: useradd --uid {uid} NAME",
        ) from None
    return Account((), uid, os.getgid())


def _works(checkout: Checkout, *command: str) -> bool:
    try:
        return capture(command, directory=Path("/"), environment=checkout.variables).ok
    except NoAnswer:
        raise
    except DevError:
        return False
