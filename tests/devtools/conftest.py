"""A checkout of its own for each test: `dev` and `devtools`, and what the test puts beside them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from front_door import ROOT, Workspace

sys.path.insert(0, str(ROOT))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "my checkout"  # with a space, as some have it
    root.mkdir()
    shutil.copy(ROOT / "dev", root)
    shutil.copytree(ROOT / "devtools", root / "devtools", ignore=shutil.ignore_patterns("__py*"))
    kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT")
    variables = {name: os.environ[name] for name in kept if name in os.environ}
    return Workspace(root, {**variables, "PYTHONIOENCODING": "utf-8"})


@pytest.fixture
def fake_docker(workspace: Workspace, tmp_path: Path):
    """Put a `docker` first on PATH that only says what a faulty one says."""

    def install(script: str) -> None:
        programs = tmp_path / "fake"
        programs.mkdir()
        (programs / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "docker").chmod(0o755)
        workspace.variables["PATH"] = f"{programs}:{workspace.variables['PATH']}"

    return install
