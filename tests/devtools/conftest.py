"""Fixtures of the tests of ./dev."""

from __future__ import annotations

from pathlib import Path

import pytest
from front_door import ROOT, Workspace

from devtools import environment
from devtools.checkout import Checkout
from devtools.terminal import Terminal


@pytest.fixture(scope="session")
def venv() -> Path:
    """The `.venv` that all checkouts of the tests share."""
    return environment.ensure(Checkout(ROOT), Terminal()).parent.parent


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
