"""The acceptance criteria are tests of the user's own running stack: `./dev verify`."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from criteria import Seen
from running import Stack
from verification import Verification


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("verify", "acceptance criteria")
    group.addoption("--criteria", nargs="*", default=[], help="ids, or the beginning of some")
    group.addoption("--engine", default="", help="what runs the stack")
    group.addoption("--quick", action="store_true", help="leave out what takes a minute or more")
    group.addoption("--list", action="store_true", help="print ids and statements")
    group.addoption("--json", action="store_true", help="print the outcomes as JSON")
    group.addoption("--markdown", metavar="FILE", help="write a page with the outcomes")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Verification(config), "verification")


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """The stack of this checkout. What the tests make in it is removed at the end."""
    with pytestconfig.pluginmanager.getplugin("verification").stack as stack:
        yield stack


@pytest.fixture
def seen(record_property) -> Seen:
    """Record what the test saw, which becomes the evidence of its criterion."""
    return functools.partial(record_property, "seen")
