"""What every suite of the workspace's tests has."""

from __future__ import annotations

import signal

import pytest

_interrupts: list[bool] = []


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo) -> None:
    _interrupts.append(excinfo.type is KeyboardInterrupt)  # not a file that cannot be imported


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End after Ctrl-C with the status that every shell knows; that of pytest has two meanings."""
    if any(_interrupts):
        session.exitstatus = 128 + signal.SIGINT
