"""Work trees of the repository beside this checkout, each with its own stack, data and ports.

https://git-scm.com/docs/git-worktree
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from . import dotenv
from .checkout import Checkout
from .declared.compose import LOCAL
from .devcontainer import inside
from .docker.project import NAME
from .engines.base import Engine
from .engines.choice import ENGINES
from .engines.compose import ComposeEngine
from .engines.embedded import EmbeddedEngine
from .errors import DevError
from .process import hand_over
from .repository import git, work_trees
from .services import DATABASE
from .snapshots import Snapshots
from .status import StackStatus
from .terminal import Mark, Terminal

# Not committed, but needed to start.
_CARRIED = (".env", "docker-compose.override.yml")
_PORT = re.compile(r"\$\{(\w+_PORT)\b")
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")

# What the scripts of init-scripts/database expect.
_AS_SUPERUSER = 'export POSTGRES_USER="$PGUSER" POSTGRES_DB="{}"\n'
_COPIED_WITHIN = 3600  # seconds
# What a new stack gets of the data here.
ALL, MASKED = "all", "masked"
_LOCAL_ENGINES = (ComposeEngine, EmbeddedEngine)


@dataclass(frozen=True)
class WorkTree:
    """A work tree; `branch` is empty for a detached HEAD."""

    path: Path
    branch: str

    def checkout(self, beside: Checkout) -> Checkout:
        """Its checkout, without the variables that name the project and the ports of another."""
        if self.path.resolve() == beside.root.resolve():
            return beside
        left = _own(beside)
        kept = {name: value for name, value in beside.variables.items() if name not in left}
        return Checkout(self.path, kept)


@dataclass(frozen=True)
class Running:
    """A stack that is up, and its memory in bytes."""

    status: StackStatus
    memory: int

    @property
    def words(self) -> str:
        """Its engine and state in words."""
        return f"{self.status.engine}: {'healthy' if self.status.up else 'not healthy'}"


def listed(checkout: Checkout) -> list[WorkTree]:
    """All work trees of the repository that have this workspace, the main one first."""
    trees = (WorkTree(path, branch) for path, branch in work_trees(checkout))
    return [tree for tree in trees if (tree.path / "dev").is_file()]


def named(checkout: Checkout, name: str) -> WorkTree:
    """The work tree with this branch, folder or path. Raises DevError if there is none."""
    for tree in listed(checkout):
        if name in (tree.branch, tree.path.name, str(tree.path)):
            return tree
    raise DevError(f"there is no work tree {name!r}", "./dev worktree list")


def add(engine: Engine, terminal: Terminal, branch: str, *, copied: str = "") -> int:
    """Make a work tree of `branch` beside the checkout and start it; return the status of `up`.

    `copied` is ALL or MASKED, or empty for a stack without data.

    Raises:
        DevError: before anything is made; or if the new stack fails, and the work tree stays.
    """
    checkout = engine.checkout
    _must_be_outside(checkout)
    path = checkout.root.with_name(f"{checkout.root.name}-{_NOT_IN_NAMES.sub('-', branch)}")
    if path.exists():
        raise DevError(f"{path} exists", f"git worktree list   or: rm -r '{path}'")
    if copied and not _running(engine, DATABASE):
        raise DevError("the database does not run, so it cannot be copied", "./dev up")
    with tempfile.TemporaryFile() as dump:
        if copied:  # first, because what prevents it should leave nothing behind
            _dump(engine, terminal, dump, masked=copied == MASKED)
        # As git does, a branch that only a remote has is made here and follows it.
        refs = (f"refs/heads/{branch}", f"refs/remotes/*/{branch}")
        known = git(checkout, "for-each-ref", *refs)
        new = (str(path), branch) if known else ("-b", branch, str(path))
        git(checkout, "worktree", "add", *new)
        tree = WorkTree(path, branch)
        _carry(checkout, path)
        terminal.mark(Mark.GOOD, f"{path} has the branch {branch}")
        other = tree.checkout(checkout)
        try:
            if copied:
                _restore(engine, other, terminal, dump)
            if copied == ALL:  # any file may have personal data
                with terminal.step("copying the files"):
                    engine.copy_files_to(other)
            return _dev(other, engine, "up")
        finally:
            terminal.say(f"  to remove it with its data: ./dev worktree remove {branch}")


def remains(tree: WorkTree, checkout: Checkout, terminal: Terminal) -> list[str]:
    """What `remove` deletes, one line each: uncommitted changes, containers, data."""
    other = tree.checkout(checkout)
    changed = git(other, "status", "--porcelain").splitlines()
    lines = [f"uncommitted: {line[3:]}" for line in changed]
    for _engine, found in _stacks(other, terminal):
        lines += found
    return [str(tree.path), *lines]


def remove(tree: WorkTree, checkout: Checkout, terminal: Terminal) -> None:
    """Delete the stack with its data, and the work tree; the branch stays."""
    for engine, _found in _stacks(tree.checkout(checkout), terminal):
        engine.clean()
    git(checkout, "worktree", "remove", "--force", str(tree.path))


def refuse_removal(tree: WorkTree, checkout: Checkout) -> None:
    """Raise DevError for the main work tree, and for this checkout, which runs the command."""
    if tree.path.resolve() == checkout.root.resolve():
        raise DevError("this checkout cannot remove itself", "run it in another work tree")
    if (tree.path / ".git").is_dir():
        raise DevError(
            f"{tree.path} is the repository's main work tree", f"cd '{tree.path}' && ./dev clean"
        )


def running(checkout: Checkout, terminal: Terminal) -> Iterator[tuple[WorkTree, list[Running]]]:
    """Each work tree with the stacks that run in it, at most one on each engine."""
    for tree in listed(checkout):
        other = tree.checkout(checkout)
        found = []
        for make in _LOCAL_ENGINES:
            with contextlib.suppress(DevError):  # no daemon answers
                engine = make(other, terminal)
                status = engine.status()
                if not status.down:
                    found.append(Running(status, engine.memory()))
        yield tree, found


def _stacks(checkout: Checkout, terminal: Terminal) -> Iterator[tuple[Engine, list[str]]]:
    """The engines on which the checkout has anything to delete, and what."""
    for make in _LOCAL_ENGINES:
        engine = make(checkout, terminal)
        with contextlib.suppress(DevError):  # no daemon answers
            if found := engine.remains():
                yield engine, found


def _must_be_outside(checkout: Checkout) -> None:
    if inside(checkout.root):
        raise DevError(
            "a work tree beside this one would not be in the dev container",
            "on your machine: ./dev worktree add BRANCH",
        )


def _running(engine: Engine, service: str) -> bool:
    return any(one.name == service and one.healthy for one in engine.status().services)


def _own(checkout: Checkout) -> set[str]:
    """The variables that must differ between two stacks of one machine."""
    return {NAME, *_PORT.findall(checkout.read(LOCAL))}


def _carry(checkout: Checkout, path: Path) -> None:
    for name in _CARRIED:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(checkout.root / name, path / name)
    if (chosen := path / ".env").exists():
        text = dotenv.assignment(*_own(checkout)).sub("", chosen.read_text(encoding="utf-8"))
        chosen.write_text(text, encoding="utf-8")


def _dump(engine: Engine, terminal: Terminal, file: IO[bytes], *, masked: bool) -> None:
    """Write roles and database to `file`; if `masked`, without personal data."""
    title = "reading the database" + (", without personal data" if masked else "")
    with terminal.step(title):
        if masked:
            with Snapshots(engine, engine.checkout).masked() as copy:
                _script(engine, "dump", into=file, database=copy)
        else:
            _script(engine, "dump", into=file)
    file.seek(0)


def _restore(engine: Engine, other: Checkout, terminal: Terminal, file: IO[bytes]) -> None:
    """Fill the new stack's database from `file`; only its data services start."""
    # A command that needs only the data services: it makes the image or the environment, too.
    if status := _dev(other, engine, "manage", "version"):
        raise DevError("the new stack's database did not start", f"exit status {status}; see above")
    with terminal.step("copying the database"):
        _script(ENGINES[engine.name](other, terminal), "restore", given=file)


def _script(
    engine: Engine,
    name: str,
    *,
    given: IO[bytes] | str = "",
    into: IO[bytes] | None = None,
    database: str = "$PGDATABASE",
) -> None:
    script = _AS_SUPERUSER.format(database) + engine.checkout.read(f"init-scripts/database/{name}")
    engine.in_database(script, timeout=_COPIED_WITHIN, given=given, into=into).must(
        f"the database was not copied ({name})", "./dev logs db"
    )


def _dev(checkout: Checkout, engine: Engine, *arguments: str) -> int:
    """Run the other work tree's own ./dev on this terminal; return its exit status."""
    command = [sys.executable, str(checkout.root / "dev"), "--engine", engine.name, *arguments]
    return hand_over(command, directory=checkout.root, environment=checkout.variables)
