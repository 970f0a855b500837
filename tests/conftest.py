"""What every suite of the workspace's tests has."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from front_door import Workspace

_interrupts: list[bool] = []


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo) -> None:
    _interrupts.append(excinfo.type is KeyboardInterrupt)  # not a file that cannot be imported


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End after Ctrl-C with the status that every shell knows; that of pytest has two meanings."""
    if any(_interrupts):
        session.exitstatus = 128 + signal.SIGINT


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A checkout with nothing but ./dev and its commands, and what the test puts beside them."""
    return Workspace.copied_to(tmp_path / "my checkout")  # with a space, as some have it
