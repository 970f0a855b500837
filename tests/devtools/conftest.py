"""Faulty programs for the tests of ./dev."""

from __future__ import annotations

from pathlib import Path

import pytest
from front_door import Workspace


@pytest.fixture
def fake_docker(workspace: Workspace, tmp_path: Path):
    """Put a fake `docker` first on PATH that only prints an error."""

    def install(script: str) -> None:
        programs = tmp_path / "fake"
        programs.mkdir()
        (programs / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "docker").chmod(0o755)
        workspace.variables["PATH"] = f"{programs}:{workspace.variables['PATH']}"

    return install
