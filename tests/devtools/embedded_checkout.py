"""A separate checkout for the embedded engine, and queries to its stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from front_door import ROOT, Workspace

from devtools import environment, health
from devtools.checkout import Checkout
from devtools.embedded.places import Places
from devtools.embedded.supervisor import Supervisor

PARTS = (
    *("dev", "devtools", "backend", "init-scripts", "requirements"),
    *("docker-compose.yml", "docker-compose.prod.yml"),
    *(".gitignore", ".vscode"),
)
# The sample tenants, also in a product with a single one.
FIXED = {"DEV_ENGINE": "embedded", "PYTHONIOENCODING": "utf-8", "SINGLE_TENANT": ""}
KEPT = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "PIP_CERT", "SSL_CERT_FILE")


class EmbeddedCheckout(Workspace):
    """A copy of the checkout in `root`, whose stack runs without Docker."""

    @classmethod
    def make(cls, root: Path, venv: Path | None) -> EmbeddedCheckout:
        """Copy the files of the stack; `venv` is shared, with None it has to be created."""
        root.mkdir(parents=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root)
        if venv:
            (root / ".venv").symlink_to(venv)
        variables = {name: os.environ[name] for name in KEPT if name in os.environ}
        return cls(root, {**variables, **FIXED})

    def commit(self, subject: str) -> None:
        """Commit all files on the branch `main`, in a repository that the first call makes."""
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--message", subject)

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
        variables = {**self.variables, "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", *who, *words], cwd=self.root, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self, *arguments: str) -> str:
        return self.must("up", *arguments)

    def clean(self) -> None:
        self.must("clean", "--yes")

    # Processes

    @property
    def places(self) -> Places:
        return Places(Checkout(self.root, self.variables))

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.places, environment.python(self.places.checkout))

    @property
    def supervisor_pid(self) -> int:
        return int((self.root / ".dev" / "run" / "supervisord.pid").read_text())

    def pids(self) -> dict[str, int]:
        return {name: state.pid for name, state in self.supervisor.states().items()}

    def port(self, service: str) -> int:
        return json.loads((self.root / ".dev" / "embedded.json").read_text())[service]

    def server(self) -> str:
        """The name of the web server that answers."""
        answer = self._answer()
        return answer.server if answer else ""

    def healthy(self) -> bool:
        answer = self._answer()
        return answer is not None and answer.ok

    def _answer(self) -> health.Health | None:
        """What web says of its health; None if it does not answer, or was never started."""
        started = (self.root / ".dev" / "embedded.json").exists()
        return health.ask(self.port("web")) if started else None

    # Data

    def sql(self, statement: str) -> str:
        return self.must("psql", "-AtX", "-c", statement).strip()

    def python(self, code: str):
        """The last line that `code` prints, as JSON, run in the worker's application."""
        return json.loads(self.must("manage", "shell", "-c", code).strip().splitlines()[-1])
