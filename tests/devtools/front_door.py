"""Running `./dev` of a copy of the front door, as a user would."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Workspace:
    """A copy of the front door in `root`; `variables` is all the environment that it gets."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

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
            output, errors = child.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, child.returncode, output, errors)

    def write(self, name: str, content: str | bytes, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path
