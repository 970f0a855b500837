"""Work trees of one repository on both engines: random commands in two of them touch no other.

Each round runs a start, a stop or a clean in two work trees at once, and compares what the others
run and store with what it was before. 200 commands take about half an hour:

    ./dev test --stack tests/bench/test_side_by_side.py
    COMMANDS=20 SEED=7 ./dev test --stack tests/bench/test_side_by_side.py
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from embedded_checkout import EmbeddedCheckout
from front_door import ROOT, Workspace
from small_stack import BASE_IMAGE, STACK, lacks

from devtools import environment
from devtools.checkout import Checkout
from devtools.engines.embedded import EmbeddedEngine
from devtools.terminal import Terminal

pytestmark = [
    pytest.mark.long,
    pytest.mark.stack,
    pytest.mark.skipif(
        lacks(BASE_IMAGE), reason=f"no Docker daemon answers, or it lacks {BASE_IMAGE}"
    ),
]

COMMANDS = int(os.environ.get("COMMANDS", "200"))
SEED = int(os.environ.get("SEED", "22"))

# On both engines the same words; the second starts only database and Redis.
STARTS = {"compose": ("up",), "embedded": ("manage", "version")}
# The defaults of the real stack, so that both engines want the same ports.
PORTS = {"DB": 5432, "REDIS": 6379, "WEB": 8000}
STOP, CLEAN = ("down",), ("clean", "--yes")


class Found(NamedTuple):
    """What a work tree runs, by service, and its data; each by what a new one would not have."""

    running: dict[str, str]
    data: str


class ComposeTree(Workspace):
    """A work tree with the small stack."""

    engine = "compose"

    def found(self) -> Found:
        label = f"label=com.docker.compose.project={self.root.name}"
        ids = _docker("ps", "--quiet", "--no-trunc", "--filter", label).split()
        form = '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}}@{{.State.StartedAt}}'
        lines = _docker("inspect", "--format", form, *ids).splitlines() if ids else []
        made = _docker("volume", "ls", "--quiet", "--filter", label).split()
        data = _docker("volume", "inspect", "--format", "{{.CreatedAt}}", *made) if made else ""
        return Found(dict(line.split(" ", 1) for line in lines), data)


class EmbeddedTree(EmbeddedCheckout):
    """A work tree with the application's own stack."""

    engine = "embedded"

    def found(self) -> Found:
        engine = EmbeddedEngine(Checkout(self.root, self.variables), Terminal())
        states = engine.runner.states
        running = {name: str(state.pid) for name, state in states.items() if state.running}
        cluster = self.root / ".dev" / "data" / "postgres"
        return Found(running, str(cluster.stat().st_ino) if cluster.is_dir() else "")


@pytest.fixture(scope="session")
def venv() -> Path:
    """The checkout's own `.venv`."""
    return environment.ensure(Checkout(ROOT), Terminal()).parent.parent


@pytest.fixture
def trees(venv, tmp_path) -> Iterator[list[ComposeTree | EmbeddedTree]]:
    """Two work trees for each engine, with the default ports; removed at the end."""
    main = EmbeddedTree.make(tmp_path / "side", None)
    (main.root / ".gitignore").write_text(".dev\n.env\n.venv\n__pycache__\n")
    _git(main.root, "init", "--quiet", "--initial-branch", "main")
    _commit(main.root)
    small = _added(main.root, "small")
    for name in ("backend", "init-scripts", "requirements"):
        shutil.rmtree(small / name)
    shutil.copytree(STACK, small, dirs_exist_ok=True)
    declared = small / "docker-compose.yml"
    text = re.sub(r"\$\{(DB|REDIS|WEB)_PORT(:-0)?\}", _with_default, declared.read_text())
    declared.write_text(text)
    _commit(small)
    second, other = _added(main.root, "second"), _added(main.root, "other", "small")
    variables = dict(main.variables)
    del variables["DEV_ENGINE"]
    made: list[ComposeTree | EmbeddedTree] = []
    for root in (main.root, second):
        (root / ".venv").symlink_to(venv)
        made.append(EmbeddedTree(root, main.variables))
    made += [ComposeTree(root, {**variables, "DEV_ENGINE": "compose"}) for root in (small, other)]
    try:
        yield made
    finally:
        for tree in made:
            tree.dev(*CLEAN)


def test_no_command_in_a_work_tree_touches_another(trees):
    chance = random.Random(SEED)
    before = {tree.root: tree.found() for tree in trees}
    for turn in range(COMMANDS // 2):
        chosen = chance.sample(trees, 2)
        commands = [chance.choice((STARTS[tree.engine], STOP, CLEAN)) for tree in chosen]
        started = [tree.start(*words) for tree, words in zip(chosen, commands, strict=True)]
        said = f"turn {turn} of seed {SEED}: "
        for tree, words, child in zip(chosen, commands, started, strict=True):
            said += f"{tree.root.name}: {' '.join(words)}; "
            output, errors = child.communicate(timeout=600)
            assert child.returncode == 0, said + output + errors
        now = {tree.root: tree.found() for tree in trees}
        for tree in trees:
            if tree not in chosen:
                assert now[tree.root] == before[tree.root], said + tree.root.name
        for tree, words in zip(chosen, commands, strict=True):
            found = now[tree.root]
            assert bool(found.running) == (words not in (STOP, CLEAN)), said
            assert not (words == CLEAN and found.data), said
            if words == STOP or (before[tree.root].data and words != CLEAN):
                assert found.data == before[tree.root].data, said
        before = now
        if turn % 10 == 0:
            assert _listed(trees[0]) == {
                (str(tree.root), tree.engine) for tree in trees if now[tree.root].running
            }, said


def _listed(tree: EmbeddedTree) -> set[tuple[str, str]]:
    """The path and the engine of each stack that `./dev worktree list` counts."""
    listed = json.loads(tree.dev("worktree", "list", "--json").stdout)
    return {(one["path"], stack["engine"]) for one in listed for stack in one["stacks"]}


def _with_default(found: re.Match) -> str:
    return f"${{{found[1]}_PORT:-{PORTS[found[1]]}}}"


def _added(root: Path, name: str, start: str = "HEAD") -> Path:
    path = root.with_name(f"{root.name}-{name}")
    _git(root, "worktree", "add", "--quiet", "-b", name, str(path), start)
    return path


def _commit(root: Path) -> None:
    who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    _git(root, "add", "--all")
    _git(root, *who, "commit", "--quiet", "--message", "Files")


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout
