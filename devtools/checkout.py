"""This checkout: its path, the variables chosen for it, the state that ./dev remembers."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from . import dotenv, identity, ports, texts
from .devcontainer import inside
from .errors import DevError
from .process import Result, capture
from .terminal import Mark, Terminal

ROOT = Path(__file__).resolve().parent.parent
# What a copy of a checkout does not copy: history, packages, state and choices.
_NOT_COPIED = (".git", ".venv", identity.DIRECTORY, ".env", "__pycache__")


class Checkout:
    """One clone of the workspace. `variables` are those of the process."""

    def __init__(self, root: Path = ROOT, variables: Mapping[str, str] = os.environ) -> None:
        self.root = root
        self.variables = variables

    @cached_property
    def dotenv(self) -> dotenv.Dotenv:
        """The contents of `.env`."""
        found = dotenv.load(self.root / ".env", self.variables.get)
        found.warnings += dotenv.misspelt(found.values, texts.read(self.root / dotenv.EXAMPLE))
        return found

    def chosen(self, variable: str) -> str:
        """The value of `variable` in the environment or `.env`; empty if there is none."""
        return self.variables.get(variable) or self.dotenv.values.get(variable, "")

    def chosen_port(self, variable: str) -> int:
        """The port that `chosen` returns; 0 if there is none. Raises DevError for another text."""
        text = self.chosen(variable)
        if text and not ports.valid(text):
            raise DevError(
                f"{variable}={text!r} (in {self.where_chosen(variable)}) "
                "must be a port from 1 to 65535"
            )
        return int(text or 0)

    def set_to(self, variable: str) -> str | None:
        """The value that Compose interpolates for `variable`; None if it is not set.

        Unlike for `chosen`, an empty value in the environment overrides `.env`.
        """
        return self.variables.get(variable, self.dotenv.values.get(variable))

    def where_chosen(self, variable: str) -> str:
        """The source of the value of `chosen`, in words."""
        return "the environment" if self.variables.get(variable) else ".env"

    def read(self, file: str) -> str:
        """The text of a tracked file. Raises DevError if it cannot be read."""
        try:
            return (self.root / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            remedy = f"git checkout HEAD {file}"
            raise DevError(f"{file} cannot be read: {reason}", remedy) from error

    def run(
        self,
        command: Sequence[str],
        *,
        timeout: float = 60,
        given: IO[bytes] | str = "",
        into: IO[bytes] | None = None,
    ) -> Result:
        """Run a program here and return its result; else as `process.capture`."""
        return capture(
            command,
            directory=self.root,
            environment=self.variables,
            timeout=timeout,
            given=given,
            into=into,
        )

    def copy(self, root: Path, variables: Mapping[str, str]) -> Checkout:
        """Copy it to `root` like a clone, but including uncommitted changes."""
        ignored = shutil.ignore_patterns(*_NOT_COPIED)
        shutil.copytree(self.root, root, symlinks=True, ignore=ignored)
        return Checkout(root, variables)

    @cached_property
    def identity(self) -> identity.Identity:
        """The identity that owns `.dev`."""
        found = identity.read(self.root)
        # In a dev container, the same checkout has another path.
        if not (found.recorded and found.moved_from is None) and inside(self.root):
            return identity.Identity(found.id, recorded=True)
        return found

    def settle(self) -> None:
        """Record the current path, once nothing is left at the old one."""
        if self.identity.moved_from:
            self._record()

    def remember(self, subject: str, facts: Mapping[str, Any]) -> None:
        """Store `facts` under `subject` for later commands. Raises DevError on failure."""
        self._store(self.state / f"{subject}.json", facts)

    def recall(self, subject: str) -> dict[str, Any]:
        """The facts stored under `subject`; empty if they cannot be read."""
        if self.identity.copied_from and not self.identity.recorded:
            return {}  # they are the other checkout's
        return texts.json_object(texts.read(self._state / f"{subject}.json"))

    def forget(self, subject: str) -> None:
        """Delete the facts stored under `subject`."""
        with contextlib.suppress(FileNotFoundError):
            (self._state / f"{subject}.json").unlink()

    @property
    def state(self) -> Path:
        """The directory of stored facts; creates it if necessary."""
        found = self.identity
        with self.writing():
            self._state.mkdir(exist_ok=True)
            if not found.recorded:
                with (self._state / "checkout.lock").open("w") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    self._record()
        return self._state

    @contextlib.contextmanager
    def lock(self, terminal: Terminal, work: str, name: str = "stack") -> Iterator[None]:
        """Hold a lock during `work`; another command that needs it prints a line and waits."""
        copied_from = None if self.identity.recorded else self.identity.copied_from
        path = self.state / f"{name}.lock"
        with self.writing():
            file = path.open("a+", encoding="utf-8")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another ./dev"
                terminal.mark(Mark.BUSY, f"waiting for {holder}, which is at work here")
                fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
            file.write(f"`./dev {work}` (process {os.getpid()})")
            file.flush()
            if copied_from:
                said = f"this is a copy of {copied_from}: it gets its own ports"
                terminal.mark(Mark.WARNING, said)
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Write files of this checkout. Raises DevError if that fails."""
        try:
            yield
        except OSError as error:
            raise self.unwritable(error) from error

    def write(self, path: Path, text: str, mode: int = 0o600) -> None:
        """Write `path` atomically, also beside other writers. Raises DevError on failure."""
        with self.writing():
            number, part = tempfile.mkstemp(".part", f"{path.name}.", path.parent)
            try:
                with os.fdopen(number, "w", encoding="utf-8") as file:
                    os.fchmod(number, mode)
                    file.write(text)
                Path(part).replace(path)
            except BaseException:
                Path(part).unlink()
                raise

    def unwritable(self, error: OSError) -> DevError:
        """The error for a file of this checkout that cannot be written because of `error`."""
        root = shlex.quote(str(self.root))
        remedy = f"become the owner of the checkout: sudo chown -R $(id -u):$(id -g) {root}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = f"free some space on its disk; to see it: df -h {root}"
        elif error.errno == errno.EROFS:
            remedy = "clone it to a writable disk"
        elif error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
            path = shlex.quote(str(_existing(Path(error.filename or self._state))))
            remedy = f"move it away: mv {path} {path}.old"
        return DevError(
            f"{error.filename or self._state} cannot be written: {error.strerror}", remedy
        )

    @property
    def _state(self) -> Path:
        return self.root / identity.DIRECTORY

    def _record(self) -> None:
        """Make this checkout the owner of `.dev`: a copy keeps only the data of the original."""
        meanwhile = identity.read(self.root)
        if meanwhile.recorded and not self.identity.recorded:  # another command did it
            self.identity = meanwhile
            return
        if self.identity.copied_from and not self.identity.recorded:
            for path in self._state.glob("*.json"):
                path.unlink(missing_ok=True)
        self._store(self._state / identity.FILE, identity.as_record(self.identity, self.root))
        self.identity = replace(self.identity, moved_from=None, recorded=True)

    def _store(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.write(path, json.dumps(facts, indent=2) + "\n", mode=0o644)


def _existing(path: Path) -> Path:
    """`path`, or the nearest directory above that exists."""
    return next(one for one in (path, *path.parents) if os.path.lexists(one))
