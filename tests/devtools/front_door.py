"""Running `./dev` of a copy of the tool, like a user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


# Seconds: a start by itself may wait 180 for one service.
_PATIENCE = 300


@dataclass
class Workspace:
    """A copy of the tool in `root`; `variables` is its whole environment."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copied_to(cls, root: Path) -> Workspace:
        """Copy `dev` and the folders with its commands into `root`, a new directory."""
        root.mkdir()
        shutil.copy(ROOT / "dev", root)
        for folder in (ROOT / "devtools", *(file.parent for file in ROOT.glob("*/commands.py"))):
            shutil.copytree(folder, root / folder.name, ignore=shutil.ignore_patterns("__py*"))
        kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT")
        variables = {name: os.environ[name] for name in kept if name in os.environ}
        return cls(root, {**variables, "PYTHONIOENCODING": "utf-8"})

    def start(self, *arguments: str, **options) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.root / "dev"), *arguments],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **{"cwd": self.root, **options},
        )

    def dev(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **options) as child:
            output, errors = child.communicate(timeout=_PATIENCE)
        return subprocess.CompletedProcess(arguments, child.returncode, output, errors)

    def must(self, *arguments: str) -> str:
        """The output of a command that has to succeed."""
        done = self.dev(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write(self, name: str, content: str | bytes, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path


def read_until(child: subprocess.Popen[str], words: str) -> None:
    """Read the output of `child` up to a line with `words`, apart from the padding of columns."""
    for line in child.stdout:
        if single_spaced(words) in single_spaced(line):
            return
    raise AssertionError(f"{words!r} was not printed: {child.stderr.read()}")


def single_spaced(text: str) -> str:
    """`text` without the padding of its columns."""
    return re.sub(" +", " ", text)


def own_hooks(file: Path) -> None:
    """Write a pre-commit configuration with only the hooks that need no other repository."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    config["repos"] = [one for one in config["repos"] if one["repo"] == "local"]
    file.write_text(yaml.safe_dump(config))


@contextmanager
def another_application() -> Iterator[int]:
    """The port of a server that answers like the web of another checkout."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            said = {"status": "ok", "server": "another checkout", "checks": {}}
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with serving(Healthy) as server:
        yield server.server_port


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """A server on this machine that answers with `handler`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
