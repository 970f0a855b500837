"""Fixtures of the tests of ./dev."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_checkout import EmbeddedCheckout
from front_door import ROOT, Workspace
from running_stack import free_ports

from devtools import debuggers, environment
from devtools.checkout import Checkout
from devtools.terminal import Terminal


@pytest.fixture(scope="session")
def venv() -> Path:
    """The `.venv` that all checkouts of the tests share."""
    return environment.ensure(Checkout(ROOT), Terminal()).parent.parent


@pytest.fixture(scope="session")
def embedded(venv: Path, tmp_path_factory) -> Iterator[EmbeddedCheckout]:
    """The stack without Docker of all tests that leave it as it was, in a repository with a
    difficult name. Each brings it to the state that it needs."""
    root = tmp_path_factory.mktemp("embedded") / "it's my 100% checkout; #2"
    checkout = EmbeddedCheckout.make(root, venv)
    checkout.commit("Begin")
    checkout.variables |= free_ports(*(variable for variable, _ in debuggers.PORTS.values()))
    yield checkout
    checkout.clean()


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
