"""Work trees: the start of the second beside that of the first, and what one to four need.

On each engine that this machine has. The very first start fills what all share: uv's packages, and
the image's layers. The first is started once more with them, each other by `./dev worktree add`.
Without Docker, what each has of its own on the disk counts without its data.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from devtools.checkout import Checkout
from devtools.engines.compose import ComposeEngine
from devtools.engines.embedded import EmbeddedEngine
from devtools.preflight import daemon
from devtools.repository import git
from devtools.terminal import Terminal
from devtools.worktrees import WorkTree

from .beside import ratio
from .copy import dev_command, empty_caches
from .measure import Measure

TREES = 4
GOALS = {(EmbeddedEngine.name, TREES): 1200}  # MB of this number of stacks
_WHO = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost")


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times on each engine, each in a fresh repository."""
    found: list[Measure] = []
    for engine in (EmbeddedEngine.name, ComposeEngine.name):
        if engine != ComposeEngine.name or not daemon.problems(checkout):
            found += _on(engine, checkout, terminal, rounds)
    return found


def _on(engine: str, checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    starts: dict[int, list[float]] = defaultdict(list)
    memory: dict[int, list[float]] = defaultdict(list)
    disk: list[float] = []
    for number in range(1, rounds + 1):
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as directory,
            terminal.step(f"{engine}, round {number}"),
        ):
            repository = _Repository(checkout, Path(directory), engine)
            try:
                starts[0].append(repository.add(1))
                repository.clean()
                for count in range(1, TREES + 1):
                    starts[count].append(repository.add(count))
                    memory[count].append(repository.memory())
                disk.append(repository.disk(TREES))
            finally:
                repository.remove()
    return [
        Measure(f"{engine}: start of the first", "s", None, starts[0]),
        Measure(f"{engine}: start of the second", "s", None, starts[2]),
        ratio(f"{engine}: second over first", 0.5, starts[2], starts[0]),
        Measure(f"{engine}: start of the first again, caches filled", "s", None, starts[1]),
        ratio(f"{engine}: second over first, caches filled", None, starts[2], starts[1]),
        *(
            Measure(f"{engine}: memory of {count}, idle", "MB", GOALS.get((engine, count)), found)
            for count, found in memory.items()
        ),
        Measure(f"{engine}: disk of the fourth, beside its data", "MB", 100, disk),
    ]


class _Repository:
    """A repository of the checkout's files, with a work tree for each stack but the first."""

    def __init__(self, checkout: Checkout, directory: Path, engine: str) -> None:
        root = directory / directory.name  # which names the stack
        variables = WorkTree(root, "").checkout(checkout).variables
        self._copy = checkout.copy(root, {**variables, **empty_caches(directory)})
        for locked in root.glob("requirements/*.txt"):  # so that no image of the machine will do
            locked.write_text(f"{locked.read_text()}# {directory.name}\n", encoding="utf-8")
        self._engine = engine
        git(self._copy, "init", "--quiet")
        git(self._copy, "add", "--all")
        git(self._copy, *_WHO, "commit", "--quiet", "--no-verify", "--message", "Begin")

    def add(self, number: int) -> float:
        """Start the stack of this number, and its work tree; return the seconds."""
        began = time.monotonic()
        self._dev(*(("up",) if number == 1 else ("worktree", "add", f"bench{number}")))
        return time.monotonic() - began

    def memory(self) -> float:
        """The megabytes of all stacks."""
        listed = json.loads(self._dev("worktree", "list", "--json"))
        return sum(one["memory"] for tree in listed for one in tree["stacks"]) / 1e6

    def disk(self, number: int) -> float:
        """The megabytes that the files of a work tree share with no other, without its data."""
        root = self._root(number)
        data = root / ".dev" / "data"
        files = [path.lstat() for path in root.rglob("*") if data not in path.parents]
        return sum(one.st_blocks * 512 for one in files if one.st_nlink == 1) / 1e6

    def clean(self) -> None:
        """Delete the first stack, and what was installed for it."""
        self._dev("clean", "--yes")
        shutil.rmtree(self._copy.root / ".venv", ignore_errors=True)

    def remove(self) -> None:
        """Delete the stacks."""
        for number in range(2, TREES + 1):
            if self._root(number).exists():
                self._dev("worktree", "remove", f"bench{number}", "--yes")
        self.clean()

    def _root(self, number: int) -> Path:
        return self._copy.root.with_name(f"{self._copy.root.name}-bench{number}")

    def _dev(self, *arguments: str) -> str:
        done = self._copy.run(dev_command(self._copy, self._engine, *arguments), timeout=1200)
        return done.must(f"./dev {' '.join(arguments)} failed").output
