"""Fixtures and hooks of all suites of the workspace's tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from front_door import Workspace

_interrupts: list[bool] = []


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo) -> None:
    _interrupts.append(excinfo.type is KeyboardInterrupt)  # not an import error


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Exit with 130 after Ctrl-C, because pytest's exit status 2 is ambiguous."""
    if any(_interrupts):
        session.exitstatus = 128 + signal.SIGINT


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A checkout with only ./dev and its commands, to which tests add files."""
    return Workspace.copied_to(tmp_path / "my checkout")  # with a space
