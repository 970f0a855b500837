"""Fixtures and hooks of all suites of the workspace's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from front_door import Workspace

pytest_plugins = ["development.interrupted_tests", "development.test_results"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A checkout with only ./dev and its commands, to which tests add files."""
    return Workspace.copied_to(tmp_path / "my checkout")  # with a space
