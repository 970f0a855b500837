"""The dev container: from the command until the server in it answers, with the image built."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from devtools import devcontainer_cli
from devtools.checkout import Checkout
from devtools.docker.project import Project
from devtools.process import Result
from devtools.services import WEB, WORKER
from devtools.terminal import Terminal

from .copy import separate_project
from .measure import Measure

COLD = "devcontainer up, image built, no data"
WARM = "devcontainer up, containers stopped"
RUNNING = "devcontainer up, already running"

BUDGETS = {COLD: ("s", 60), WARM: ("s", 30), RUNNING: ("s", 10)}

_LONGEST = 1800  # seconds; the first build fetches everything


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times in one copy of `checkout`, beside the user's own stack."""
    found: dict[str, list[float]] = defaultdict(list)
    program = devcontainer_cli.ensure(checkout, terminal)
    with tempfile.TemporaryDirectory() as directory:
        workspace = _Workspace(checkout, Path(directory), program)
        try:
            with terminal.step("building the image"):
                workspace.up()
            for number in range(1, rounds + 1):
                with terminal.step(f"round {number}"):
                    workspace.compose("down", "--volumes")
                    found[COLD].append(workspace.up())
                    workspace.compose("stop")
                    found[WARM].append(workspace.up())
                    found[RUNNING].append(workspace.up())
        finally:
            workspace.remove()
    return [Measure(name, *budget, found[name]) for name, budget in BUDGETS.items()]


class _Workspace:
    def __init__(self, checkout: Checkout, directory: Path, program: Path) -> None:
        self._program = program
        variables = {**checkout.variables, **separate_project(checkout)}
        self._copy = checkout.copy(directory / "checkout", variables)
        _open_to_all(directory)

    def up(self) -> float:
        """Bring it up and return the seconds that took; its last hook waits for the server."""
        began = time.monotonic()
        folder = str(self._copy.root)
        self._run([str(self._program), "up", "--workspace-folder", folder], timeout=_LONGEST)
        return time.monotonic() - began

    def compose(self, *arguments: str) -> Result:
        return self._run(["docker", "compose", *arguments])

    def remove(self) -> None:
        project = Project(self._copy)
        # The name of the image that the dev container's tools made of ours is theirs.
        containers = project.containers()
        built = [containers[name].id for name in (WEB, WORKER) if name in containers]
        named = project.docker("inspect", "--format", "{{.Config.Image}}", *built)
        self.compose("down", "--volumes", "--remove-orphans")
        project.docker("image", "rm", *set(named.output.split()))

    def _run(self, command: Sequence[str], timeout: float = 300) -> Result:
        done = self._copy.run(command, timeout=timeout)
        return done.must(f"`{' '.join(command[:2])}` failed")


def _open_to_all(directory: Path) -> None:
    """Root's files are not the container user's, who works in them all the same."""
    if os.getuid() == 0:
        for path in (directory, *directory.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))
