"""A pytest plugin: exit with 130 after Ctrl-C, because pytest's exit status 2 is ambiguous."""

import signal

import pytest

_interrupts: list[bool] = []


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    _interrupts.append(excinfo.type is KeyboardInterrupt)  # not an import error


def pytest_sessionfinish(session: pytest.Session) -> None:
    if any(_interrupts):
        session.exitstatus = 128 + signal.SIGINT
